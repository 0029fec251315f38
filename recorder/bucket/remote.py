"""A data directory whose sealed files are partly, or all, in a bucket."""

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

from recorder.bucket import spool
from recorder.errors import StoreError
from recorder.record.layout import Layout, day_of

if TYPE_CHECKING:
    from recorder.bucket.store import Listing, Store

#: Seconds for which a listing holds: to list is slow, and paid for. A long one holds longer.
_FRESH_SECONDS = 10.0
_SHARE = 20.0


def layout_of(
    data_dir: Path,
    raw_url: str | None,
    *,
    cache_gb: float = 10.0,
    anew: bool = False,
    warn: Callable[[str], None] = lambda text: None,
) -> Layout:
    """Return where the record is: the data directory, and the bucket at `raw_url` if there is one.

    With `anew` files that were fetched before are fetched again. `warn` is called when the bucket
    becomes unreachable.

    Raises:
        ConfigError: `raw_url` names no bucket.
        StoreError, CredentialsError: the bucket cannot be read; nothing was done.
    """
    if raw_url is None:
        return Layout(data_dir)
    from recorder.bucket.store import Store

    cache = data_dir / "work" / "cache"
    mirror = Mirror(Store(raw_url), cache, int(cache_gb * spool.GB), anew=anew, warn=warn)
    mirror.look()
    return Mirrored(data_dir, mirror)


@dataclass(slots=True)
class Mirror:
    """A bucket as this process sees it: what it holds, and what was fetched of it.

    The cache holds at most about `cache_bytes`: what was used least lately goes.
    """

    store: Store
    cache: Path
    cache_bytes: int
    anew: bool = False
    warn: Callable[[str], None] = lambda text: None
    _listing: Listing | None = None
    _until: float = 0.0
    _away: bool = False
    _own: Path | None = None

    # -- what it holds

    def look(self, gone: Callable[[Listing], bool] = lambda listing: False) -> Listing:
        """The bucket's objects as of lately; now, where `gone` says that too much has changed.

        Raises:
            StoreError, CredentialsError: it cannot be read, and what is known does not do.
        """
        if self._listing is None or time.monotonic() >= self._until or gone(self._listing):
            start = time.monotonic()
            try:
                self._listing, self._away = self.store.listing(), False
            except StoreError as error:
                if self._listing is None or gone(self._listing):
                    raise
                if not self._away:
                    self.warn(f"the bucket is taken as it was: {error}")
                self._away = True
            took = time.monotonic() - start
            self._until = time.monotonic() + max(_FRESH_SECONDS, _SHARE * took)
        return self._listing

    def objects(self, feed: str, *names: str) -> Mapping[str, int]:
        """The sizes of a feed's objects by their stems.

        With `names`, as of now if one of them was not there lately.
        """

        def gone(listing: Listing) -> bool:
            return not set(names) <= listing.objects.get(feed, {}).keys()

        return self.look(gone).objects.get(feed, {})

    # -- what was fetched

    def cached(self, feed: str, stem: str, size: int) -> Path | None:
        """The copy of an object of this size, if it was fetched before."""
        path = self._place(feed, stem)
        try:
            if path.stat().st_size != size:
                return None
            os.utime(path)  # what is used stays
        except FileNotFoundError:
            return None
        return path

    def fetch(self, feed: str, stem: str, size: int) -> Path:
        """A copy of an object, whole.

        Raises:
            FileNotFoundError: it is gone.
            StoreError: the bucket cannot be read, or the object changes.
        """
        path = self.cached(feed, stem, size)
        if path is None:
            path = self._place(feed, stem)
            self.store.get(feed, stem, path)
            if path.stat().st_size != size:
                path.unlink()
                where = self.store.where(feed, stem)
                raise StoreError("is not as large as listed", where=where, hint="try again")
            self._bound(path)
        return path

    def forget(self, feed: str, stem: str) -> None:
        """An object was removed: so is its copy."""
        self._place(feed, stem).unlink(missing_ok=True)
        if self._listing is not None:
            self._listing.objects.get(feed, {}).pop(stem, None)

    def _place(self, feed: str, stem: str) -> Path:
        root = self.cache
        if self.anew:
            if self._own is None:
                root.mkdir(parents=True, exist_ok=True)
                self._own = Path(tempfile.mkdtemp(dir=root, prefix="anew-"))
                atexit.register(shutil.rmtree, self._own, ignore_errors=True)
            root = self._own
        return root / f"feed={feed}" / f"date={day_of(stem)}" / f"{stem}.parquet"

    def _bound(self, newest: Path) -> None:
        """Let go what was used least lately, until the rest fits."""
        found = []
        for path in self.cache.rglob("*.parquet"):
            try:
                told = path.stat()
            except FileNotFoundError:
                continue  # another process lets go, too
            found.append((path != newest, told.st_mtime_ns, told.st_size, path))
        excess = sum(size for _, _, size, _ in found) - self.cache_bytes
        for other, _, size, path in sorted(found, key=lambda one: one[:2]):
            if excess > 0 and other:
                path.unlink(missing_ok=True)
                excess -= size


@dataclass(frozen=True, slots=True)
class Mirrored(Layout):
    """A data directory, and the bucket that its sealed files go to, or those of many hosts.

    A file that is here is read here; any other is fetched when its path is asked for.
    """

    mirror: Mirror
    _seen: dict[str, set[str]] = field(default_factory=dict, compare=False, repr=False)

    def feeds(self) -> list[str]:
        """Every feed that has left anything, here or there."""
        return sorted({*Layout.feeds(self), *self.mirror.look().objects})

    def sealed(self, feed: str) -> list[str]:
        """Stems of the sealed files, here or there, oldest first."""
        here = set(Layout.sealed(self, feed))
        dropped = self._seen.get(feed, set()) - here  # the bucket has them; an old listing may not
        there = self.mirror.objects(feed, *dropped)
        self._seen[feed] = here
        return sorted(here | there.keys())

    def parquet(self, feed: str, name: str) -> Path:
        """One sealed file: here, or a copy fetched now.

        Raises:
            StoreError, CredentialsError: the bucket cannot be read, or the object changes.
        """
        here = Layout.parquet(self, feed, name)
        size = self._elsewhere(feed, name)
        if size is None:
            return here
        try:
            return self.mirror.fetch(feed, name, size)
        except FileNotFoundError:
            return here  # pruned meanwhile

    def look(self, feed: str, name: str) -> Path | BinaryIO:
        """A sealed file to look into; of one that is not here only what is read is fetched."""
        size = self._elsewhere(feed, name)
        if size is None:
            return Layout.parquet(self, feed, name)
        return self.mirror.cached(feed, name, size) or self.mirror.store.open(feed, name)

    def where(self, feed: str, name: str) -> str:
        """A sealed file's name for people: its path, or its URL."""
        if self._elsewhere(feed, name) is None:
            return Layout.where(self, feed, name)
        return self.mirror.store.where(feed, name)

    def size(self, feed: str, name: str) -> int:
        """A sealed file's size."""
        size = self._elsewhere(feed, name)
        return Layout.size(self, feed, name) if size is None else size

    def is_here(self, feed: str, name: str) -> bool:
        """True if a sealed file can be read without the bucket."""
        size = self._elsewhere(feed, name)
        return size is None or self.mirror.cached(feed, name, size) is not None

    def foreign(self) -> list[str]:
        """URLs of what lies in the bucket and is none of ours."""
        return [f"{self.mirror.store.url}/{name}" for name in self.mirror.look().foreign]

    def differing(self, feed: str) -> list[str]:
        """Stems whose file here is not as large as the object of its name."""
        there = self.mirror.objects(feed)
        here = [stem for stem in Layout.sealed(self, feed) if stem in there]
        return [stem for stem in here if Layout.size(self, feed, stem) != there[stem]]

    def check_removal(self) -> None:
        """Find out that sealed files may be removed there, too.

        Raises:
            StoreError, CredentialsError: they may not, or the bucket is away.
        """
        self.mirror.store.check_writable(removing=True)

    def remove(self, feed: str, name: str) -> None:
        """Remove a sealed file here and there, and what is known of it."""
        # Here first: what is here and not there would be sent again.
        Layout.parquet(self, feed, name).unlink(missing_ok=True)
        self.mirror.store.delete(feed, name)
        self.mirror.forget(feed, name)
        spool.forget(self, feed, name)

    def _elsewhere(self, feed: str, name: str) -> int | None:
        """The size of an object whose file is not here; None: it is, or there is none."""
        if Layout.parquet(self, feed, name).exists():
            return None
        if self.journal(feed, name).exists():
            return self.mirror.objects(feed).get(name)
        # Neither here: sent and dropped after the last listing, maybe. It must not be missed, for
        # what follows it would be taken in before it.
        return self.mirror.objects(feed, name).get(name)
