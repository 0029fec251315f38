"""What holds for every test."""

from hypothesis import HealthCheck, settings

# A busy machine is no failure: no timed assertions, and no complaint of slow generation.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")
