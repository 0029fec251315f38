"""Streams of normalised events: from the tables, or as they are recorded."""
