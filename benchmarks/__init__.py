"""Measurements of the recorder, each against the plain thing it replaces."""
