"""Moments and durations as people write and read them: one grammar for every door. Pure.

A moment is one of:

    2026-01-31, 2026-01-31T12:00, 2026-01-31 12:00:00.123456789+02:00   ISO 8601; UTC without a zone
    20260131, 20260131T120000Z                                          the same without separators
    1769860800, 1769860800000, …       an epoch: 9 or 10 digits are s, 12 or 13 ms, 15 or 16 us,
                                       18 or 19 ns; 0 is the epoch itself
    now, today, yesterday              today and yesterday are midnights, UTC
    1h, 1h ago                         a duration before the present

A duration is a number with a unit, or several from the largest unit to the smallest: `90s`, `10m`,
`6h`, `1d`, `2w`, `3mo`, `1y`, `50ms`, `1h30m`, `1.5h`, `15 minutes`, `1 hour 30 minutes`. `m` is
minutes, `mo` months. Months and years count by the calendar: one month before 31 March is the last
day of February. Anything else is refused with a UsageError that says what is understood.

Every moment is an integer, ns since epoch, UTC; the present is passed in.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from recorder.clock import DAY_NS, NS
from recorder.errors import UsageError

#: A moment as the Python API takes it: an epoch, a text, or a datetime (UTC without a zone).
When = int | str | datetime

MOMENTS = (
    "a time is 2026-01-31, 2026-01-31T12:00Z, an epoch in s, ms, us or ns, now, today, yesterday, "
    "1h or '1h ago'"
)
DURATIONS = "a duration is 90s, 10m, 6h, 1d, 2w, 3mo, 1h30m, or in words: '15 minutes', '2 months'"

#: The first and the last moment that 64 bits of ns can hold, in 1677 and 2262.
FIRST_NS, LAST_NS = -(1 << 63), (1 << 63) - 1

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MOST_MONTHS = 292 * 12
_DAY, _HOUR, _MINUTE = DAY_NS, 3600 * NS, 60 * NS


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time: calendar months, and ns in addition; at most 292 years of each."""

    months: int = 0
    ns: int = 0

    def before(self, at_ns: int) -> int:
        """Return the moment this long before `at_ns`, in ns since epoch: months first, then ns.

        The day is cut to the last one of a shorter month.
        """
        if self.months == 0:
            return at_ns - self.ns
        days, rest = divmod(at_ns, DAY_NS)
        day = date.fromordinal(_EPOCH_DAY + days)
        year, month = divmod(day.year * 12 + day.month - 1 - self.months, 12)
        last = monthrange(year, month + 1)[1]
        target = date(year, month + 1, min(day.day, last)).toordinal() - _EPOCH_DAY
        return target * DAY_NS + rest - self.ns


@dataclass(frozen=True, slots=True)
class _Unit:
    """A unit of durations: its size in months or in ns."""

    names: tuple[str, ...]
    months: int = 0
    ns: int = 0


#: From the largest to the smallest.
_UNITS = (
    _Unit(("y", "yr", "yrs", "year", "years"), months=12),
    _Unit(("mo", "mos", "month", "months"), months=1),
    _Unit(("w", "wk", "wks", "week", "weeks"), ns=7 * _DAY),
    _Unit(("d", "day", "days"), ns=_DAY),
    _Unit(("h", "hr", "hrs", "hour", "hours"), ns=_HOUR),
    _Unit(("m", "min", "mins", "minute", "minutes"), ns=_MINUTE),
    _Unit(("s", "sec", "secs", "second", "seconds"), ns=NS),
    _Unit(("ms", "msec", "msecs", "millisecond", "milliseconds"), ns=1_000_000),
    _Unit(("us", "\u00b5s", "\u03bcs", "microsecond", "microseconds"), ns=1_000),
    _Unit(("ns", "nanosecond", "nanoseconds"), ns=1),
)
_RANK = {name: rank for rank, unit in enumerate(_UNITS) for name in unit.names}

_PART = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,18}))?\s*([^\W\d_]+)\s*")
_AGO = re.compile(r"(.*\S)\s+ago", re.IGNORECASE | re.DOTALL)
_DIGITS = re.compile(r"0|[1-9][0-9]{0,29}")
#: With separators, and without any.
_ISO = tuple(
    re.compile(
        rf"([0-9]{{4}}){d}([0-9]{{2}}){d}([0-9]{{2}})"
        rf"(?:[T ]([0-9]{{2}}){t}([0-9]{{2}})(?:{t}([0-9]{{2}})(?:[.,]([0-9]{{1,9}}))?)?"
        rf"\ ?(?:(Z|UTC)|([+-])([0-9]{{2}})(?::?([0-9]{{2}}))?)?)?",
        re.IGNORECASE,
    )
    for d, t in (("-", ":"), ("", ""))
)


# -- moments


def parse_moment(text: str, now_ns: int) -> int:
    """Return the moment that a text means, in ns since epoch, UTC; `now_ns` is the present.

    Raises:
        UsageError: it is not a time, or out of range.
    """
    cleaned = text.strip()
    midnight_ns = now_ns - now_ns % DAY_NS
    named = {"now": now_ns, "today": midnight_ns, "yesterday": midnight_ns - DAY_NS}
    if cleaned.lower() in named:
        return named[cleaned.lower()]
    for form in _ISO:
        if found := form.fullmatch(cleaned):
            return _in_range(_iso_ns(found, text), _quoted(text))
    if _DIGITS.fullmatch(cleaned):
        return _epoch_ns(int(cleaned))
    ago = _AGO.fullmatch(cleaned)
    try:
        length = _length(ago[1] if ago else cleaned)
    except ValueError as error:
        raise _refused(text, "a time", str(error), MOMENTS) from None
    return _in_range(length.before(now_ns), _quoted(text))


def moment_of(value: When, now_ns: int) -> int:
    """Return the moment that a value of the Python API means, in ns since epoch, UTC.

    Raises:
        UsageError: it is not a time, or out of range.
    """
    if isinstance(value, str):
        return parse_moment(value, now_ns)
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        since = (aware - _EPOCH) // timedelta(microseconds=1) * 1000
        return _in_range(since, _quoted(str(value)))
    if isinstance(value, int) and not isinstance(value, bool):
        return _epoch_ns(value)
    raise UsageError(f"{_quoted(str(value))} is not a time", hint=MOMENTS)


def _epoch_ns(value: int) -> int:
    """Return an epoch of any unit in ns: no two units share a number of digits."""
    digits = len(str(value)) if value > 0 else 0
    if value != 0 and digits not in {9, 10, 12, 13, 15, 16, 18, 19}:
        what = f"'{str(value)[:40]}' is not a time: as an epoch it has too many or too few digits"
        hint = "9 or 10 digits are s, 12 or 13 ms, 15 or 16 us, 18 or 19 ns; a duration has a unit"
        raise UsageError(what, hint=hint)
    power = 9 - (digits - 9) // 3 * 3 if digits else 0
    return _in_range(value * int(10**power), f"'{value}'")


def _iso_ns(found: re.Match[str], text: str) -> int:
    year, month, day, hour, minute, second, fraction, _, sign, east, minutes = found.groups()
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    except ValueError as error:
        raise _refused(text, "a time", str(error), MOMENTS) from None
    for name, part, most in (
        ("hour", hour, 23),
        ("minute", minute, 59),
        ("second", second, 59),
        ("zone", east, 23),
        ("zone", minutes, 59),
    ):
        if int(part or 0) > most:
            raise _refused(text, "a time", f"no such {name}", MOMENTS)
    seconds = int(hour or 0) * 3600 + int(minute or 0) * 60 + int(second or 0)
    offset = int(east or 0) * 3600 + int(minutes or 0) * 60
    seconds -= -offset if sign == "-" else offset
    return days * DAY_NS + seconds * NS + int((fraction or "").ljust(9, "0"))


def _in_range(ns: int, what: str) -> int:
    if not FIRST_NS <= ns <= LAST_NS:
        raise UsageError(f"{what} is out of range", hint="times go from 1677-09-22 to 2262-04-11")
    return ns


# -- durations


def parse_duration(text: str) -> Duration:
    """Return the duration that a text means.

    Raises:
        UsageError: it is not a duration, or longer than 292 years.
    """
    try:
        return _length(text.strip())
    except ValueError as error:
        raise _refused(text, "a duration", str(error), DURATIONS) from None


def parse_fixed(text: str) -> int:
    """Return the ns of a duration that is the same at any time: without months and years.

    Raises:
        UsageError: it is not a duration, too long, or counted by the calendar.
    """
    found = parse_duration(text)
    if found.months:
        what = f"{_quoted(text)} has no fixed length: months and years differ"
        raise UsageError(what, hint="say it in days or weeks: 30d, 4w")
    return found.ns


def _length(text: str) -> Duration:
    """Return the duration; a ValueError says why the text is not one."""
    months = ns = at = 0
    rank = -1
    while at < len(text) or rank < 0:
        part = _PART.match(text, at)
        if part is None:
            bare = re.fullmatch(r"[0-9]+(\.[0-9]+)?", text[at:])
            raise ValueError("a number needs a unit" if bare else "")
        unit, before, rank = _unit(part[3]), rank, _RANK[part[3].lower()]
        if rank <= before:
            raise ValueError("units go from the largest to the smallest, each once")
        count, scale = int(part[1] + (part[2] or "")), 10 ** len(part[2] or "")
        if count * (unit.months or unit.ns) % scale:
            smallest = "month" if unit.months else "nanosecond"
            raise ValueError(f"a part of a {smallest} does not count")
        months += count * unit.months // scale
        ns += count * unit.ns // scale
        at = part.end()
    if months > _MOST_MONTHS or ns > LAST_NS:
        raise ValueError("longer than 292 years")
    return Duration(months, ns)


def _unit(name: str) -> _Unit:
    if name == "M":  # a chart's 1M is a month, its 1m a minute
        raise ValueError("m is minutes, mo months")
    if name.lower() not in _RANK:
        raise ValueError(f"no unit '{name[:40]}'")
    return _UNITS[_RANK[name.lower()]]


def _refused(text: str, what: str, why: str, hint: str) -> UsageError:
    return UsageError(f"{_quoted(text)} is not {what}{': ' if why else ''}{why}", hint=hint)


def _quoted(text: str) -> str:
    return f"'{text[:60]}{'…' if len(text) > 60 else ''}'"


# -- for people


def duration(ns: int) -> str:
    """Return a length of time in at most two units, cut: `40ms`, `3.1s`, `3m20s`, `2h`, `4d02h`.

    From 10 days on there are days alone. A negative length counts as none. What this returns is a
    duration of the grammar, too.
    """
    ms = max(ns, 0) // 1_000_000
    if ms < 1_000:
        return f"{ms}ms"
    if ms < 10_000:
        return f"{ms // 1_000}.{ms % 1_000 // 100}s"
    seconds = ms // 1_000
    for (name, size), (less, part) in pairwise((("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))):
        if seconds >= size:
            rest = seconds % size // part if seconds < 864_000 else 0
            return f"{seconds // size}{name}" + (f"{rest:02}{less}" if rest else "")
    return f"{seconds}s"


def age(at_ns: int, now_ns: int) -> str:
    """Return how long ago a moment was, as `duration` writes it; a later one counts as now."""
    return duration(now_ns - at_ns)


def exact(ns: int) -> str:
    """Return a moment in ISO 8601, UTC, to the nanosecond."""
    seconds, rest = divmod(ns, NS)
    whole = _EPOCH + timedelta(seconds=seconds)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{rest:09}Z"
