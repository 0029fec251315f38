"""Rebuild: normalise a feed's frames again and put the rows in place in one transaction."""
