"""The replay of past sessions, with its checks and its job. No broker."""
