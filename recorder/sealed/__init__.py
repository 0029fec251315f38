"""Sealed Parquet files: made from journals, read, merged."""
