"""Training: from bundled bars to a model, with its job."""
