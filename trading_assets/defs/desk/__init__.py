"""The desk: a tick as a chain of assets with their checks, its job and schedule, and signals from outside."""
