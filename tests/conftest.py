"""How to write a test."""

pytest_plugins = ["tools.pytest_runtimes", "tools.pytest_pages"]
