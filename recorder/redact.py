"""Keeping secrets out of everything that is written, logged or shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

HIDDEN = "***"

#: JSON's two-character escapes.
_SHORT_ESCAPES = {
    '"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"
}  # fmt: skip


class Redactor:
    """Replaces every known secret by `***`: plain, or escaped in any way for a URL or for JSON."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        longest_first = sorted({s for s in secrets if s}, key=len, reverse=True)
        ways = ["".join(map(_spellings, secret)) for secret in longest_first]
        self._pattern = re.compile("|".join(ways)) if ways else None

    def __call__(self, text: str) -> str:
        """The text without any secret."""
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)


def _spellings(character: str) -> str:
    """A pattern of one character: itself, percent-encoded, or as JSON may escape it."""
    percent = "%" + character.encode("utf-8", "surrogatepass").hex("%")
    units = character.encode("utf-16-be", "surrogatepass").hex("-", 2)
    unicode = r"\\u" + units.replace("-", r"\\u")
    ways = [re.escape(character), f"(?i:{percent})", f"(?i:{unicode})"]
    if character in _SHORT_ESCAPES:
        ways.append(r"\\" + re.escape(_SHORT_ESCAPES[character]))
    if character == " ":
        ways.append(r"\+")
    return f"(?:{'|'.join(ways)})"


def safe_url(url: str) -> str:
    """A URL fit to be shown: no user, no password, no query values, no fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = "&".join(map(_hide_value, parts.query.split("&"))) if parts.query else ""
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


def _hide_value(part: str) -> str:
    name, equals, _ = part.partition("=")
    return f"{name}={HIDDEN}" if equals and name else HIDDEN
