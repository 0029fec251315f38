"""Replay: the record's frames again, in order, to Python or to WebSocket clients.

`run` reads what one recorder wrote, `merge` merges, `timeline` says when a frame is due; `iterate`
gives frames to Python, `stage` and `server` give them to clients.
"""
