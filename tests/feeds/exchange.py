"""The old name of `tests/kit/exchange.py`, for tests that are not converted yet."""

from kit.exchange import *  # noqa: F403
