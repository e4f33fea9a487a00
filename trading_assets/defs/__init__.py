"""Dagster, and nothing else: assets, checks, jobs, resources and the definitions they make up."""
