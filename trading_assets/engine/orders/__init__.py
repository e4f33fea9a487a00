"""Orders on their way: stored, sent, followed to their end, cancelled, tried again."""
