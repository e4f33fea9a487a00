"""The demonstration: real bars in, reconciled positions out, on the embedded exchange, with one command.

`demo_desk` prepares the place and the exchange, `story` tells it, `show` runs it, `summary` reads the stores
afterwards. Nothing here decides or trades; it only launches Dagster runs and moves the exchange's clock.
"""
