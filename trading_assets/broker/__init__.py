"""The broker as a port, its typed errors, and the Alpaca adapter behind it."""
