"""Normalised events one after the other: from the tables, or as they are recorded."""
