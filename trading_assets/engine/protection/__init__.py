"""Exits that nothing may hold back: stops, flattens, what signals want sold, what a kill cancels."""
