"""Ports and channels: what is sent and received, and by whom."""
