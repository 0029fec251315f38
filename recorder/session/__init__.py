"""The session: the logic that keeps one line of a feed connected.

`machine` decides, pure; `connection` receives and stamps; `line` runs both.
"""
