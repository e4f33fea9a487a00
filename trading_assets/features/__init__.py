"""Feature definitions and their kernels: a finite look-back, and the same result live and in bulk."""
