"""The bars and feature rows that one tick has."""
