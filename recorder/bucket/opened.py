"""An object that is looked into without being fetched whole."""

from __future__ import annotations

import io
from typing import Any

from recorder.bucket import refusal


class Opened(io.RawIOBase):
    """A file object over an object in a bucket; what refuses is named, and its text is its URL."""

    def __init__(self, file: Any, where: str, url: str) -> None:
        self._file, self._where, self._url = file, where, url

    def __str__(self) -> str:
        return self._where

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """So many bytes from where it stands, or all that follow."""
        with refusal.named(self._url):
            return bytes(self._file.read(None if size is None or size < 0 else size))

    def readall(self) -> bytes:
        """All bytes that follow."""
        return self.read()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Stand elsewhere."""
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        """Where it stands."""
        return int(self._file.tell())

    def close(self) -> None:
        """Let the object go."""
        if not self.closed:
            self._file.close()
        super().close()
