"""The old name of `tests/kit/captures.py`, for tests that are not converted yet."""

from kit.captures import *  # noqa: F403
