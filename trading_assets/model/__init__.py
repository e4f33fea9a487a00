"""From features to a score and from a score to a signal: training, registry, inference."""
