"""The session: the logic that keeps one line of a feed connected.

`machine` decides for one connection at a time, and `handover` when another takes over; both are
pure. `connection` receives and stamps frames. `link` runs a machine. `line` runs one link, or two
during a handover.
"""
