"""The fault suite: what the recorder promises, while everything around it breaks.

Each fault class is a function `(seed, scale) -> Outcome`: it runs the real command line as a child
process, commits one kind of fault many times, and compares what is on disk with what was sent.
`suite.CLASSES` names them all. `test_short.py` runs a few tries of each; the full run is
`python -m benchmarks.reliability`, which also publishes the figures.
"""
