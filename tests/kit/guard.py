"""A test without the marker `process` starts no process and opens no socket.

Such tests run on every core at once, and `make check` runs nothing else. The guard is an audit
hook of the interpreter: it sees each start of a process and each bind and connect, whichever
library makes them, and fails the test that caused it.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any

import pytest

#: What an unmarked test must not do, by the interpreter's name of it.
FORBIDDEN = {
    "subprocess.Popen": "starts a process",
    "os.posix_spawn": "starts a process",
    "os.fork": "starts a process",
    "os.forkpty": "starts a process",
    "socket.bind": "serves on a socket",
    "socket.connect": "connects to a socket",
}


class Guard:
    """A pytest plugin. Its hook stays for the life of the interpreter, as audit hooks do."""

    def __init__(self) -> None:
        self._watching = False
        self._seen = ""
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._watching and event in FORBIDDEN:
            self._seen = f"this test {FORBIDDEN[event]}: mark it with pytest.mark.process"
            raise AssertionError(self._seen)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        """Watch the fixtures of an unmarked test."""
        return (yield from self._watch(item))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        """Watch an unmarked test."""
        return (yield from self._watch(item))

    def _watch(self, item: pytest.Item) -> Generator[None]:
        self._watching, self._seen = item.get_closest_marker("process") is None, ""
        try:
            result = yield
        finally:
            self._watching = False
        if self._seen:  # and somebody caught the error
            pytest.fail(self._seen, pytrace=False)
        return result
