"""A trading desk as a Dagster project: assets for market data, signals, gated orders and positions."""
