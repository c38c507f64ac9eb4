"""How many examples a property is tried with: some in the suite, many in `nox -s tests_live`. No property belongs here.

How long an example takes says something about the machine, and nothing about the code.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("some", max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("many", settings.get_profile("some"), max_examples=500)
settings.load_profile("some")  # `--hypothesis-profile many` comes later, and holds
