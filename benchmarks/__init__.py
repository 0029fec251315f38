"""Measurements of the recorder, each compared with the simple program that it replaces."""
