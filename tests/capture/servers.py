"""The old name of `tests/kit/servers.py`, for tests that are not converted yet."""

from kit.servers import *  # noqa: F403
