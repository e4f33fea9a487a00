"""The two stores: the journal (SQLite, what protects money) and the history (DuckDB)."""
