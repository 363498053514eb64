"""Remote calls over a port, compatible with Comlink 4.4.2."""
