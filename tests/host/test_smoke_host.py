"""The harness itself: the package imports where there is no browser."""


def test_package_imports_without_a_browser():
    import pyodide_msgchan

    assert pyodide_msgchan.__version__
