"""Encoding and decoding of messages and of the values in them."""
