"""Keeping secrets out of everything that is written, logged or shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, urlsplit, urlunsplit

HIDDEN = "***"


class Redactor:
    """Replaces every known secret, plain, URL-encoded or as a JSON string, by `***`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {
            form
            for secret in secrets
            if secret
            for form in (secret, quote(secret, ""), quote_plus(secret), json.dumps(secret)[1:-1])
        }
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        """The text without any secret."""
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)


def safe_url(url: str) -> str:
    """A URL fit to be shown: no user, no password, no query values, no fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    names = re.findall(r"(?:^|&)([^=&]*)", parts.query) if parts.query else []
    query = "&".join(f"{name}={HIDDEN}" for name in names if name)
    return urlunsplit((parts.scheme, host, parts.path, query, ""))
