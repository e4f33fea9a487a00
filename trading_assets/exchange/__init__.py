"""The embedded exchange: an Alpaca-speaking venue on loopback with a virtual clock."""
