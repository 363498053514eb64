"""A profile for a long search: `pytest tests/host -k machine --hypothesis-profile=thorough`."""

from hypothesis import settings

settings.register_profile("thorough", max_examples=3000, stateful_step_count=80, deadline=None)
