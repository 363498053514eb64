"""The packed lane: messages as validated pickle streams, which keep the Python types of values."""
