"""The two ends of a session: the jobs before the open and after the close, with their schedules."""
