from hypothesis import HealthCheck, settings

# Machines are shared and noisy: how long it takes to draw an example is no failure.
settings.register_profile("posstream", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("posstream")
