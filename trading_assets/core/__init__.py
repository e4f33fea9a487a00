"""The decisions, as pure functions: no calendar, no I/O, no clock. It imports numpy and numba only."""
