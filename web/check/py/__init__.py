"""The check page: what this package promises, row by row, in the browser that shows it."""
