"""Day seals: one small file per feed and UTC day that says which frames the record holds.

    <data_dir>/heads/<feed>/<day>.json

It lists the digest of each segment of the day, counts their frames by kind, and repeats the gap
markers and the largest clock error. Its root is SHA-256 over all of that, and may be signed. A copy
that is kept elsewhere, or was time-stamped, shows later and on any machine that the frames of the
day are still the same, wherever they are by then: sealed, merged, in a bucket. Whoever can write
the record can write another day seal, too, but not one with the same root, nor one with the
signature of a key that they do not have.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from recorder import durable
from recorder.errors import DataError, UsageError, install_hint
from recorder.record import footers, read
from recorder.record.digest import SegmentDigests
from recorder.record.layout import Layout, day_of, order
from recorder.record.read import Reader
from recorder.reporter import QUIET, Reporter
from recorder.version import __version__

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

#: The version of the file.
VERSION = 1


class SealedSegment(msgspec.Struct, frozen=True, array_like=True):
    """A segment of the day: its stem, frames and digest."""

    stem: str
    rows: int
    digest: str


class GapMarker(msgspec.Struct, frozen=True):
    """A gap marker: frames that the disk refused, or that were lost in a damaged journal."""

    recv_ns: int
    connection: str
    says: msgspec.Raw


class Body(msgspec.Struct, frozen=True):
    """What the root is of."""

    feed: str
    day: str
    segments: list[SealedSegment]
    frames: int
    kinds: dict[str, int]
    """Frames by kind; all kinds but text and binary are markers."""
    gaps: list[GapMarker]
    clock_error_ns: int | None
    """The largest error of the clock that the kernel estimated; None if it never said."""
    first_recv_ns: int | None
    last_recv_ns: int | None
    recorder: str = __version__
    version: int = VERSION

    @property
    def root(self) -> str:
        """SHA-256 over the body, as 64 hexadecimal digits."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


class Signature(msgspec.Struct, frozen=True):
    """An Ed25519 signature of the root's digits; both texts are base64."""

    key: str
    """The public key."""
    value: str
    algorithm: str = "Ed25519"


class DaySeal(msgspec.Struct, frozen=True, omit_defaults=True):
    """A day seal as it is in its file."""

    body: Body
    root: str
    signature: Signature | None = None


# -- making


def sealed(layout: Layout, feed: str, day: str, reporter: Reporter = QUIET) -> Body:
    """Read all frames of a feed's day and return what a seal says of them.

    Raises:
        UsageError: the day has no frame here.
        DataError: a journal of the day is not sealed yet, or a file is damaged.
    """
    if waiting := [stem for stem in layout.active(feed) if day_of(stem) == day]:
        hint = "wait until capture has sealed it, or: python -m recorder.record.seal DATA_DIR"
        raise DataError(
            f"{len(waiting)} journals of {day} are not sealed yet",
            where=str(layout.journal(feed, waiting[0])),
            hint=hint,
        )
    names = [name for name in read.stems(layout, feed) if day_of(name) == day]
    if not names:
        raise UsageError(f"'{feed}' has no frame of {day}", where=str(layout.root))
    count, reader = _DayCounts(), Reader(layout, feed, verify=True)
    segments: list[SealedSegment] = []
    for name in names:
        held = footers.footer(layout.store.look(feed, name)).held
        digests, rows = SegmentDigests([(one.stem, one.rows) for one in held]), 0
        for table in reader.parts(name):
            rows += len(table)
            digests.update(table)
            count.add(table)
            reporter.progress(len(table))
        found = digests.found if held else {name: (rows, digests.rest())}
        segments += [SealedSegment(stem, n, digest) for stem, (n, digest) in found.items()]
    segments.sort(key=lambda one: order(one.stem))
    return Body(
        feed,
        day,
        segments,
        sum(one.rows for one in segments),
        dict(sorted(count.kinds.items())),
        count.gaps,
        count.clock_error_ns,
        count.first_ns,
        count.last_ns,
    )


class _DayCounts:
    """What the frames of a day say beside their bytes."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.gaps: list[GapMarker] = []
        self.clock_error_ns: int | None = None
        self.first_ns: int | None = None
        self.last_ns: int | None = None

    def add(self, table: pa.Table) -> None:
        for value in pc.value_counts(table["kind"]).to_pylist():
            self.kinds[value["values"]] += value["counts"]
        span = pc.min_max(table["recv_ns"]).as_py()
        self.first_ns = min(self.first_ns or span["min"], span["min"])
        self.last_ns = max(self.last_ns or span["max"], span["max"])
        markers = table.filter(pc.is_in(table["kind"], pa.array(["gap", "stats"])))
        for row in markers.to_pylist():
            said = _object(row["payload"])
            if row["kind"] == "gap":
                says = msgspec.Raw(msgspec.json.encode(said, order="sorted"))
                self.gaps.append(GapMarker(row["recv_ns"], row["connection"], says))
            else:
                clock = said.get("clock")
                error = clock.get("error_ns") if isinstance(clock, dict) else None
                if isinstance(error, int):
                    self.clock_error_ns = max(self.clock_error_ns or 0, error)


def _object(payload: bytes) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def signed(body: Body, key: Path | None) -> DaySeal:
    """Return the seal of a day, signed if `key` names an Ed25519 private key (PEM, no password).

    Raises:
        UsageError: the key cannot be read, or the extra `sign` is not installed.
    """
    if key is None:
        return DaySeal(body, body.root)
    serialization, private, _ = _ed25519()
    try:
        loaded = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        loaded = None
    if not isinstance(loaded, private):
        hint = "make one: openssl genpkey -algorithm ed25519 -out day.key; chmod 600 day.key"
        raise UsageError("is not an Ed25519 private key in PEM", where=str(key), hint=hint)
    public = loaded.public_key().public_bytes_raw()
    value = loaded.sign(body.root.encode())
    return DaySeal(body, body.root, Signature(_text(public), _text(value)))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def path_of(layout: Layout, feed: str, day: str) -> Path:
    """Return the path of a day's seal."""
    return layout.heads / feed / f"{day}.json"


def write(layout: Layout, seal: DaySeal) -> Path:
    """Write a day's seal durably and return its path; one that says the same is left alone.

    Raises:
        DataError: there is a seal of this day that says something else.
    """
    path = path_of(layout, seal.body.feed, seal.body.day)
    if path.exists():
        known = load(path)
        if known.root != seal.root:
            hint = f"see what differs: recorder verify --against {path}"
            raise DataError("the day was sealed with other frames", where=str(path), hint=hint)
        if known.signature is not None or seal.signature is None:
            return path
    durable.make_directory(path.parent)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(seal, order="sorted")) + b"\n")
    durable.publish(temporary, path)
    return path


# -- reading


def load(path: Path) -> DaySeal:
    """Read a day seal.

    Raises:
        UsageError: the file cannot be read, or is not a day seal.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=DaySeal)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except msgspec.DecodeError as error:
        raise UsageError(f"is not a day seal: {error}", where=str(path)) from None


def faults(seal: DaySeal, key: Path | None = None) -> Iterator[str]:
    """Yield what does not hold within a seal; with `key`, the public key that has to have signed.

    Raises:
        UsageError: the key cannot be read, or the extra `sign` is not installed.
    """
    if seal.root != seal.body.root:
        yield "its root is not that of what it says"
    if seal.signature is None:
        if key is not None:
            yield "it is not signed"
        return
    serialization, _, public = _ed25519()
    raw = _bytes(seal.signature.key)
    if key is not None and _public_bytes(serialization, public, key) != raw:
        yield "it is signed with another key"
    try:
        signer: Ed25519PublicKey = public.from_public_bytes(raw)
        signer.verify(_bytes(seal.signature.value), seal.root.encode())
    except Exception:
        yield "its signature does not hold"


def _public_bytes(serialization: Any, public: Any, key: Path) -> bytes:
    try:
        loaded = serialization.load_pem_public_key(key.read_bytes())
    except (OSError, ValueError):
        loaded = None
    if not isinstance(loaded, public):
        hint = "openssl pkey -in day.key -pubout -out day.pub"
        raise UsageError("is not an Ed25519 public key in PEM", where=str(key), hint=hint)
    return bytes(loaded.public_bytes_raw())


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def _ed25519() -> tuple[Any, Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        hint = install_hint("sign")
        raise UsageError("signatures need the extra sign", where="--sign", hint=hint) from None
    return serialization, ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey
