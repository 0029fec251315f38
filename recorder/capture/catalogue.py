"""The venues' lists of instruments: fetched by REST, kept on disk, and used to expand a `*`.

Capture fetches a list when it starts, and every day. While a venue's REST interface is unavailable
it uses the last list, which is kept in `<data_dir>/instruments/<feed>.json`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import translate
from pathlib import Path

import msgspec

from recorder import durable
from recorder.capture import http
from recorder.capture.http import Reach
from recorder.errors import CatalogueError
from recorder.feed import Ask, Catalogue, Instrument
from recorder.redact import safe_url

#: More pages or bytes than any venue's list has.
_PAGES = 100
_LARGEST = 64 << 20

_ATTEMPTS = 3

#: The part of a channel, between two separators, that contains a `*`.
_PATTERN = re.compile(r"[^.@:/\s]*\*[^.@:/\s]*")


@dataclass(frozen=True, slots=True)
class VenueListing:
    """A venue's instruments, when they were asked for, and where."""

    fetched_ns: int
    url: str
    instruments: tuple[Instrument, ...]


def fetch(catalogue: Catalogue, now_ns: int, reach: Reach | None = None) -> VenueListing:
    """Ask a venue for its instruments. Blocks; tries each request several times.

    Raises:
        CatalogueError: no answer, or one that is not a list of instruments.
    """
    reach = reach or Reach()
    found: dict[str, Instrument] = {}
    waiting = list(catalogue.asks)
    with contextlib.closing(_VenueClient(reach)) as client:
        for _ in range(_PAGES):
            if not waiting:
                break
            ask = waiting.pop(0)
            body = client.body(ask)
            try:
                instruments, following = catalogue.read(body)
            except Exception as error:  # the code of a plug-in feed may raise anything
                what = f"the answer is not a list of instruments: {error}"
                raise CatalogueError(what, where=safe_url(client.url(ask))) from error
            for instrument in instruments:
                _merge(found, instrument, ask)
            following = (following,) if isinstance(following, Ask) else following or ()
            waiting[:0] = [replace(one, completes=ask.completes) for one in following]
    where = safe_url(catalogue.asks[0].url)
    if not found:
        raise CatalogueError("the list of instruments is empty", where=where)
    return VenueListing(now_ns, where, tuple(found.values()))


def _merge(found: dict[str, Instrument], more: Instrument, ask: Ask) -> None:
    """Add an instrument; an answer that completes others adds only fields that were unknown."""
    if not ask.completes:
        found[more.symbol] = more
    elif (known := found.get(more.symbol)) is not None:
        fields = {name: value for name, value in asdict(more).items() if value is not None}
        fields.update((name, value) for name, value in asdict(known).items() if value is not None)
        found[more.symbol] = Instrument(**fields)


class _VenueClient:
    """An HTTP client for one venue's REST interface."""

    def __init__(self, reach: Reach) -> None:
        import urllib3

        self._reach = reach
        retries = urllib3.Retry(
            total=_ATTEMPTS - 1,
            backoff_factor=0.5,
            status_forcelist=(429, 500, 502, 503, 504),
            allowed_methods=None,  # a question changes nothing, also as a POST
            respect_retry_after_header=False,  # it may be hours; the caller comes back in a minute
            raise_on_status=False,
        )
        self._http = http.pool(reach, retries=retries)

    def close(self) -> None:
        self._http.clear()

    def url(self, ask: Ask) -> str:
        """Return the URL of a request, at the user's base if one is set."""
        return self._reach.url(ask.url)

    def body(self, ask: Ask) -> bytes:
        import urllib3

        url = self.url(ask)
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        try:
            answer = self._http.request(
                "GET" if ask.body is None else "POST",
                url,
                body=ask.body,
                headers=headers,
                preload_content=False,
            )
            body = answer.read(_LARGEST + 1)
            answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            cause = getattr(error, "reason", None) or error  # the error of the last attempt
            what = f"no answer: {type(cause).__name__}"
            raise CatalogueError(what, where=safe_url(url)) from error
        if answer.status != 200:
            raise CatalogueError(f"HTTP {answer.status}", where=safe_url(url))
        if len(body) > _LARGEST:
            raise CatalogueError("the answer is too long", where=safe_url(url))
        return bytes(body)


# -- kept on disk


def keep(path: Path, listing: VenueListing) -> None:
    """Write a list to disk, for use while the venue does not answer."""
    durable.make_directory(path.parent)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(msgspec.json.encode(listing))
    durable.publish(temporary, path)


def kept(path: Path) -> VenueListing | None:
    """Return the list that was kept on disk; None if it is missing or unreadable."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=VenueListing)
    except (OSError, ValueError):
        return None


def marker_payload(exchange: str, listing: VenueListing) -> bytes:
    """Return the payload of an `instruments` marker, which makes the record self-contained."""
    return msgspec.json.encode(
        {
            "exchange": exchange,
            "url": listing.url,
            "fetched_ns": listing.fetched_ns,
            "instruments": listing.instruments,
        }
    )


# -- patterns


def is_pattern(channel: str) -> bool:
    """Return True if a channel has a `*`, and so stands for several."""
    return "*" in channel


def expand(channels: Iterable[str], names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the channels with each `*` replaced by names, and the patterns that match none.

    A `*` matches any characters of a name, in any case: `allLiquidation.*USDT` becomes
    `allLiquidation.BTCUSDT` and so on. Where names have an owner before a colon (`xyz:GOLD`), it
    stands for those of the owner that the channel names: `trades:xyz:*`; `trades:*` for the others.
    """
    found: dict[str, None] = {}
    unmatched = []
    for channel in channels:
        if not is_pattern(channel):
            found[channel] = None
            continue
        matches = _matches(channel, names)
        found.update(dict.fromkeys(matches))
        if not matches:
            unmatched.append(channel)
    return list(found), unmatched


def _matches(channel: str, names: Sequence[str]) -> list[str]:
    place = _PATTERN.search(channel)
    assert place is not None
    pattern = re.compile(translate(place[0].replace("[", "[[]").replace("?", "[?]")), re.IGNORECASE)
    before, after = channel[: place.start()], channel[place.end() :]
    owners = {owner for owner in map(_owner, names) if f":{before}".endswith(f":{owner}")}
    owner = max(owners, key=len, default="")
    if not owner and before.count(":") > 1:  # it names an owner that the venue does not list
        return []
    own = sorted(name.removeprefix(owner) for name in names if _owner(name) == owner)
    return [f"{before}{name}{after}" for name in own if pattern.match(name)]


def _owner(name: str) -> str:
    """Return the part of a name before its last colon, with the colon; empty if it has none."""
    return name[: name.rfind(":") + 1]


def names_of(listing: VenueListing) -> list[str]:
    """Return the instruments' names as channels spell them, sorted."""
    return sorted({instrument.name for instrument in listing.instruments})
