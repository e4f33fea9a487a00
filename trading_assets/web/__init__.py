"""Dagster's web interface for the one person who operates this desk: its own app behind a guard of ours.

`link` keeps the token, `guard` refuses what is not asked by this person's browser or programs, `__main__`
serves both on loopback. What Dagster shows is Dagster's.
"""
