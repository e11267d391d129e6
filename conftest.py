"""What holds for every test here."""

from hypothesis import HealthCheck, settings

# A build machine is shared and slow now and then; that is no property of what is tested.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")
