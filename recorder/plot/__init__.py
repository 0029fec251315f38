"""Answers as pictures: what to draw (`spec`, `chart`), in a terminal or into a file."""
