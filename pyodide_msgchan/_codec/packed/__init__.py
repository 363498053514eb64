"""The packed lane: values that keep their Python types, as a checked pickle stream."""
