"""The record: journals and sealed files, and every way to read them."""
