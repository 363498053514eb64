"""Remote calls over a port, as Comlink 4.4.2 speaks them."""
