"""Sensors that tell people what went wrong, and the delivery of alerts."""
