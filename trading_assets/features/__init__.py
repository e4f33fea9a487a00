"""Feature definitions and their kernels: finite look-back, one result live and in backfill."""
