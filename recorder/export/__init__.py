"""Exports: files that other programs read as their own. One module per format."""
