"""The record live in a terminal; needs the extra `tui`.

`source` brings the status and the events, of a directory or of a URL; `app` shows them.
"""
