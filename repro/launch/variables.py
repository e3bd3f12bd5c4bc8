"""Environment variables through which a launcher tells a run what is not part of its spec."""

PLATFORM_VARIABLE = "REPRO_PLATFORM"
"""Path of the platform file, where it is not a packaged one."""

TIMEOUT_VARIABLE = "REPRO_TIMEOUT_S"
"""Seconds for which ranks of the MPI world may wait while nothing moves."""

SAVE_EVERY_VARIABLE = "REPRO_SAVE_EVERY_S"
"""Seconds from one saving of the state of a run on MPI ranks to the next."""

SURVIVE_VARIABLE = "REPRO_SURVIVE"
"""Set where a run on MPI ranks is to go on without ranks that have died."""

LOG_ORDER_VARIABLE = "REPRO_LOG_ORDER"
"""Set where the MPI world is to put the order of one-sided operations into the record."""
