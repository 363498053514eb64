"""Values: how they become messages, and messages values."""
