"""Random values against the table in the README: over memory, which is that table in Python."""

from hypothesis import given, settings
from pages.recipes import build, difference, refusal
from tools.recipes import recipes

from pyodide_msgchan import DataCloneError
from pyodide_msgchan._clone import copy


@settings(max_examples=300, deadline=None)
@given(recipes(in_browser=False))
def test_memory_gives_what_the_table_says(recipe):
    case = build(recipe, in_memory=True)
    try:
        got, _ = copy(case.sent, {})
    except DataCloneError as error:
        assert case.refused, error
        assert not refusal(error, case.sent)
    else:
        assert not case.refused
        assert not difference(got, case.expected)
