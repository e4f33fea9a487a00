"""What a tick does: protect, decide, submit, follow, reconcile, recover. Knows no Dagster."""
