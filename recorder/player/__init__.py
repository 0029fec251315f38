"""The replay of recorded frames, in order, to Python or to WebSocket clients.

`run` reads the segments of one recorder, `merge` merges runs, `timeline` computes when a frame is
due; `iterate` yields frames to Python, `stage` and `server` send them to clients.
"""
