"""Signals from outside: rows, files, the inbox, and which of them count at a tick."""
