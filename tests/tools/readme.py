"""The README's pages, scripts and commands, by section and language."""

import re

from tools.common import ROOT


def section(heading: str) -> str:
    """What the README says under a heading of the second level."""
    text = (ROOT / "README.md").read_text("utf-8")
    upto_next = rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)"
    found = re.search(upto_next, text, re.DOTALL | re.MULTILINE)
    if found is None:
        raise LookupError(f"the README has no section {heading!r}")
    return found[1]


def blocks(heading: str, language: str) -> list[str]:
    """The blocks of code in that section, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", section(heading), re.DOTALL | re.MULTILINE)
