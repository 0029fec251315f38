"""The journal: the append-only truth of one run of one feed.

`block` is the format, pure; `writer` appends; `reader` reads, whatever happened to the file.
"""
