"""Alpaca: everything that knows its API, its words and the variables of its keys.

The embedded exchange speaks the same API and is reached through the same code. Nothing outside of this folder
imports from it but the entry in `broker.registry`, which opens it.
"""
