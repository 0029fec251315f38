"""Reads from an object in a bucket without fetching it whole."""

from __future__ import annotations

import io
from typing import Any

from recorder.bucket import refusal


class ObjectReader(io.RawIOBase):
    """A file object over an object in a bucket; as text it is the object's URL.

    Failed reads raise a StoreError or CredentialsError about `url`.
    """

    def __init__(self, file: Any, where: str, url: str) -> None:
        self._file, self._where, self._url = file, where, url

    def __str__(self) -> str:
        return self._where

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Read at most `size` bytes; with None or a negative size all that follow."""
        with refusal.translated(self._url):
            return bytes(self._file.read(None if size is None or size < 0 else size))

    def readall(self) -> bytes:
        """Read all bytes that follow."""
        return self.read()

    def seek(self, offset: int, origin: int = io.SEEK_SET, /) -> int:
        """Move to an offset, counted as in `io.IOBase.seek`; return the new position."""
        return int(self._file.seek(offset, origin))

    def close(self) -> None:
        """Close the object."""
        if not self.closed:
            self._file.close()
        super().close()
