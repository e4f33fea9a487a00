"""One tick: its steps in their order, and what becomes of one that fails."""
