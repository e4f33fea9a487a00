"""The decisions, pure: no calendar, no I/O, no clock. numpy and numba only."""
