"""The demonstration: real bars in, reconciled positions out, on the embedded exchange, with one command.

`stage` prepares the place and the exchange, `story` plays it, `summary` reads the stores afterwards.
Nothing here decides or trades; it only launches Dagster runs and moves the exchange's clock.
"""
