"""Redaction: keeps secrets out of everything that is written, logged or shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote, unquote_plus, urlsplit, urlunsplit

HIDDEN = "***"

#: Shorter texts are hidden only as whole words: they are also parts of ordinary ones.
SHORTEST = 8

#: JSON's two-character escapes.
_SHORT_ESCAPES = {
    '"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"
}  # fmt: skip


class Redactor:
    """Replaces every known secret by `***`: plain, or escaped in any way for a URL or for JSON."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Hide these too from now on."""
        self._secrets |= {secret for secret in secrets if secret}
        longest_first = sorted(self._secrets, key=lambda secret: (-len(secret), secret))
        ways = [_pattern(secret) for secret in longest_first]
        self._pattern = re.compile("|".join(ways)) if ways else None

    def __call__(self, text: str) -> str:
        """Return the text without any secret."""
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)


def _pattern(secret: str) -> str:
    """Return a pattern for every spelling of a secret."""
    spelled = "".join(map(_spellings, secret))
    if len(secret) >= SHORTEST:
        return spelled
    # A word also begins behind an escape: %3Dkey, \\nkey.
    begins = r"(?:(?<![^\W_])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[bfnrt]))"
    return rf"{begins}{spelled}(?![^\W_])"


def _spellings(character: str) -> str:
    """Return a pattern for one character: itself, percent-encoded, or as JSON may escape it."""
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
    """Return a URL that may be shown: no user, password, query values or fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = "&".join(map(_hide_value, parts.query.split("&"))) if parts.query else ""
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


def _hide_value(part: str) -> str:
    name, equals, _ = part.partition("=")
    return f"{name}={HIDDEN}" if equals and name else HIDDEN


def added_by(signed: str, url: str) -> set[str]:
    """Return what a signed URL adds to its endpoint's, if long enough to be a secret."""
    known, found = _pieces(url), _pieces(signed)
    return {piece for piece in found - known if len(piece) >= 8 and not piece.isdigit()}


def _pieces(url: str) -> set[str]:
    """Return a URL's parts, as written and decoded."""
    parts = urlsplit(url)
    values = [part.partition("=")[2] or part for part in parts.query.split("&")]
    user = parts.netloc.rpartition("@")[0]
    pieces = {*values, *parts.path.split("/"), *user.split(":"), parts.query, parts.fragment}
    return pieces | {unquote(piece) for piece in pieces} | {unquote_plus(p) for p in pieces}
