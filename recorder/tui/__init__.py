"""`recorder top`: live status and events in the terminal; needs the extra `tui`.

`source` reads the status and the events of a directory or of a URL; `app` shows them.
"""
