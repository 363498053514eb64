"""A profile for a long search: `pytest tests/host -k machine --hypothesis-profile=thorough`."""

from hypothesis import HealthCheck, settings

# A machine that has other work to do is no failure.
settings.register_profile("usual", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "thorough", settings.get_profile("usual"), max_examples=3000, stateful_step_count=80
)
settings.load_profile("usual")
