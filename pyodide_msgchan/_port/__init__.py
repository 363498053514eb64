"""Message ports, channels and messages between windows."""
