"""Replay: the record's frames again, in order, to Python or to WebSocket clients.

`merge` reads and merges, `timeline` says when a frame is due, `iterate` gives frames to Python,
`stage` and `server` give them to clients.
"""
