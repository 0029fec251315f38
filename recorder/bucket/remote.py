"""The store of a record whose sealed files are partly or all in a bucket."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from recorder.bucket import copied_heads, spool
from recorder.errors import StoreError
from recorder.record.layout import Layout
from recorder.record.stem import sealed_name
from recorder.reporter import QUIET, Reporter

if TYPE_CHECKING:
    from recorder.bucket.store import BucketListing, Store

#: A listing is slow and costs money, so it is cached: for 10 s, or 20 times as long as it took.
_FRESH_SECONDS = 10.0
_FRESH_FACTOR = 20.0


def layout_of(
    data_dir: Path,
    raw_url: str | None,
    *,
    cache_gb: float = 10.0,
    refetch: bool = False,
    reporter: Reporter = QUIET,
) -> Layout:
    """Return the layout of the record: the data directory, and the bucket at `raw_url` if set.

    With `refetch`, files in the cache are fetched again. `reporter` is warned when the bucket
    becomes unavailable.

    Raises:
        ConfigError: `raw_url` is not the URL of a bucket.
        StoreError, CredentialsError: the bucket cannot be read.
    """
    if raw_url is None:
        return Layout(data_dir)
    from recorder.bucket.store import Store

    cache = data_dir / "work" / "cache"
    budget = int(cache_gb * spool.GB)
    mirror = Mirror(Store(raw_url), cache, budget, refetch=refetch, reporter=reporter)
    mirror.look()
    return Layout(data_dir, Mirrored(Layout(data_dir), mirror))


@dataclass(slots=True)
class Mirror:
    """A bucket, with a cached listing and a cache of fetched files.

    When the cache exceeds `cache_bytes`, the least recently used files are removed.
    """

    store: Store
    cache: Path
    cache_bytes: int
    refetch: bool = False
    reporter: Reporter = QUIET
    _listing: BucketListing | None = None
    _until: float = 0.0
    _unavailable: bool = False
    _private: Path | None = None

    # -- the listing

    def look(
        self, outdated: Callable[[BucketListing], bool] = lambda listing: False
    ) -> BucketListing:
        """Return the cached listing; list the bucket if it has expired or `outdated` returns True.

        Raises:
            StoreError, CredentialsError: the bucket cannot be read, and there is no usable listing.
        """
        if self._listing is None or time.monotonic() >= self._until or outdated(self._listing):
            start = time.monotonic()
            try:
                self._listing, self._unavailable = self.store.listing(), False
            except StoreError as error:
                if self._listing is None or outdated(self._listing):
                    raise
                if not self._unavailable:
                    self.reporter.warn(f"using the last listing of the bucket: {error}")
                self._unavailable = True
            took = time.monotonic() - start
            self._until = time.monotonic() + max(_FRESH_SECONDS, _FRESH_FACTOR * took)
        return self._listing

    def objects(self, feed: str, *names: str) -> Mapping[str, int]:
        """Return the sizes in bytes of a feed's objects, by stem.

        Lists the bucket if the cached listing lacks one of `names`.
        """

        def outdated(listing: BucketListing) -> bool:
            return not set(names) <= listing.objects.get(feed, {}).keys()

        return self.look(outdated).objects.get(feed, {})

    # -- the cache of files

    def cached(self, feed: str, stem: str, size: int) -> Path | None:
        """Return the cached copy of an object of this size, or None."""
        path = self._cache_path(feed, stem)
        try:
            if path.stat().st_size != size:
                return None
            os.utime(path)  # its last use, for `_shrink`
        except FileNotFoundError:
            return None
        return path

    def fetch(self, feed: str, stem: str, size: int) -> Path:
        """Return the path of a copy of an object, fetched if it is not cached.

        Raises:
            FileNotFoundError: the object is gone.
            StoreError: the bucket cannot be read, or the object is not as large as listed.
        """
        path = self.cached(feed, stem, size)
        if path is None:
            path = self._cache_path(feed, stem)
            self.store.get(feed, stem, path)
            if path.stat().st_size != size:
                path.unlink()
                where = self.store.where(feed, stem)
                raise StoreError("the object is not as large as listed", where=where, hint="retry")
            self._shrink(path)
        return path

    def forget(self, feed: str, stem: str) -> None:
        """Remove the cached copy of an object that was deleted, and its entry in the listing."""
        self._cache_path(feed, stem).unlink(missing_ok=True)
        if self._listing is not None:
            self._listing.objects.get(feed, {}).pop(stem, None)

    def _cache_path(self, feed: str, stem: str) -> Path:
        root = self.cache
        if self.refetch:
            if self._private is None:
                root.mkdir(parents=True, exist_ok=True)
                self._private = Path(tempfile.mkdtemp(dir=root, prefix="refetched-"))
                atexit.register(shutil.rmtree, self._private, ignore_errors=True)
            root = self._private
        return root / sealed_name(feed, stem)

    def _shrink(self, newest: Path) -> None:
        """Remove the least recently used files until the cache fits, but never `newest`."""
        files = []
        # A killed reader leaves a part of a file, which nobody uses: it is the first to go.
        for path in [path for end in (".parquet", ".tmp") for path in self.cache.rglob(f"*{end}")]:
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue  # another process removed it
            files.append((path != newest, stat.st_mtime_ns, stat.st_size, path))
        excess = sum(size for _, _, size, _ in files) - self.cache_bytes
        for removable, _, size, path in sorted(files, key=lambda file: file[:2]):
            if excess > 0 and removable:
                path.unlink(missing_ok=True)
                excess -= size


@dataclass(frozen=True, slots=True)
class Mirrored:
    """The store of a data directory and a bucket with sealed files of this host or of several.

    A file in the data directory is read there; any other is downloaded.
    """

    here: Layout
    """The data directory alone."""
    mirror: Mirror
    _seen: dict[str, set[str]] = field(default_factory=dict, compare=False, repr=False)

    def feeds(self) -> list[str]:
        """Return the feeds with files in the data directory or the bucket, sorted."""
        listing = self.mirror.look()
        return sorted({*self.here.feeds(), *listing.objects, *listing.heads})

    def active(self, feed: str) -> list[str]:
        """Return the stems of the journals, which are all in the data directory, oldest first."""
        return self.here.active(feed)

    def sealed(self, feed: str) -> list[str]:
        """Return the stems of the sealed files in the directory or the bucket, oldest first."""
        here = set(self.here.sealed(feed))
        dropped = self._seen.get(feed, set()) - here  # in the bucket, if not yet in the listing
        there = self.mirror.objects(feed, *dropped)
        self._seen[feed] = here
        return sorted(here | there.keys())

    def fetch(self, feed: str, stem: str) -> Path:
        """Return the path of a sealed file, or of a copy fetched from the bucket.

        Raises:
            FileNotFoundError: there is no such file.
            StoreError, CredentialsError: the bucket cannot be read, or the object is not as large
                as listed.
        """
        size = self._remote_size(feed, stem)
        if size is None:
            return self.here.store.fetch(feed, stem)
        return self.mirror.fetch(feed, stem, size)

    def look(self, feed: str, stem: str) -> Path | BinaryIO:
        """Return a sealed file to read parts of: its path, or a reader that fetches those parts."""
        size = self._remote_size(feed, stem)
        if size is None:
            return self.here.parquet(feed, stem)
        return self.mirror.cached(feed, stem, size) or self.mirror.store.open(feed, stem)

    def where(self, feed: str, stem: str) -> str:
        """Return a sealed file's path or URL, for messages."""
        if self._remote_size(feed, stem) is None:
            return str(self.here.parquet(feed, stem))
        return self.mirror.store.where(feed, stem)

    def size(self, feed: str, stem: str) -> int:
        """Return a sealed file's size in bytes."""
        size = self._remote_size(feed, stem)
        return self.here.store.size(feed, stem) if size is None else size

    def is_here(self, feed: str, stem: str) -> bool:
        """Return True if a sealed file can be read without the bucket."""
        size = self._remote_size(feed, stem)
        return size is None or self.mirror.cached(feed, stem, size) is not None

    def foreign(self) -> list[str]:
        """Return the URLs of objects in the bucket that are not sealed files."""
        return [f"{self.mirror.store.url}/{name}" for name in self.mirror.look().foreign]

    def differing(self, feed: str) -> list[str]:
        """Return the stems whose file and object differ in size."""
        there = self.mirror.objects(feed)
        here = [stem for stem in self.here.sealed(feed) if stem in there]
        return [stem for stem in here if self.here.store.size(feed, stem) != there[stem]]

    @property
    def url(self) -> str:
        """The URL of the bucket."""
        return self.mirror.store.url

    def heads(self, feed: str) -> dict[str, bytes]:
        """Return the copies of a feed's heads that the bucket has, by name."""
        return copied_heads.read(self.mirror.store, feed, self.mirror.look().heads.get(feed, {}))

    def check_removal(self) -> None:
        """Check that sealed files can be removed from the bucket.

        Raises:
            StoreError, CredentialsError: they cannot, or the bucket is unavailable.
        """
        self.mirror.store.check_writable(removing=True)

    def remove(self, feed: str, stem: str) -> None:
        """Remove a sealed file from the data directory and the bucket, with its note."""
        # The local file first: one without its object would be uploaded again.
        self.here.store.remove(feed, stem)
        self.mirror.store.delete(feed, stem)
        self.mirror.forget(feed, stem)
        spool.forget(self.here, feed, stem)

    def _remote_size(self, feed: str, stem: str) -> int | None:
        """Return the size of an object without a local file; None if there is no such object."""
        if self.here.parquet(feed, stem).exists():
            return None
        if self.here.journal(feed, stem).exists():
            return self.mirror.objects(feed).get(stem)
        # Without a journal, the file may have been uploaded and dropped after the last listing, so
        # list again: a file that is missed would be ingested after its successors.
        return self.mirror.objects(feed, stem).get(stem)
