"""Puts this directory on `sys.path` for the tests below it, which run the `command` line too."""
