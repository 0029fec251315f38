"""The session: the logic that keeps one line of a feed connected.

`machine` decides for one connection at a time and `handover` when another takes over, both pure;
`connection` receives and stamps; `link` runs a machine, and `line` one link or, in a handover, two.
"""
