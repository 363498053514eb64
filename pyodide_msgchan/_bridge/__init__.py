"""The interface to JavaScript: the only package that imports `js` or `pyodide`."""
