"""The border to JavaScript: the only package that imports `js` or `pyodide`."""
