"""Pages get what is built, so it is built before the first test is even collected."""

from tools.bundle import build


def pytest_configure():
    build()
