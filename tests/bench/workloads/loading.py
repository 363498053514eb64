"""The first import after boot; this file imports nothing that the package might need."""


def first_use(_options):
    """Import, then make the first channel; JSON with the milliseconds of both."""
    from js import performance

    start = performance.now()
    import pyodide_msgchan

    imported = performance.now()
    channel = pyodide_msgchan.MessageChannel()
    made = performance.now()
    for port in channel:
        port.close()
    return f'{{"import": {imported - start}, "first channel": {made - imported}}}'
