"""The schema: tables, raw columns, DuckDB as the recorder uses it, and where the SQL files are."""
