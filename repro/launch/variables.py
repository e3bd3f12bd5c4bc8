"""Environment variables through which a launcher tells a run what is not part of its spec."""

PLATFORM_VARIABLE = "REPRO_PLATFORM"
"""Path of the platform file, where it is not a packaged one."""

TIMEOUT_VARIABLE = "REPRO_TIMEOUT_S"
"""Seconds for which ranks of the MPI world may wait while nothing moves."""

LOG_ORDER_VARIABLE = "REPRO_LOG_ORDER"
"""Set where the MPI world is to put the order of one-sided operations into the record."""
