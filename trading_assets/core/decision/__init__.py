"""The decisions of one tick over all symbols, compiled, on columns: live and replay call the same."""
