"""Connections between windows, frames and workers: their handshake, life and end."""
