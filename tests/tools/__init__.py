"""The project's own tools: building, serving, driving browsers, running tests."""
