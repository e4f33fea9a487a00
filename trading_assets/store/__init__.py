"""The two stores: the journal (SQLite), which holds what protects money, and the history (DuckDB)."""
