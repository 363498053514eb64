"""Connections: a checked handshake between windows, frames and workers, and what follows it."""
