"""What the models of the settings share."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field

#: Unknown keys are errors, and settings do not change.
STRICT = ConfigDict(extra="forbid", frozen=True)


def means(text: str, **more: Any) -> Any:
    """Return a field with a setting's meaning and unit, from which docs/settings.md is made."""
    return Field(description=text, **more)


def is_url(url: str, schemes: Collection[str]) -> bool:
    """Return True if a text is a URL with one of these schemes, a host, and no space."""
    try:
        parts = urlsplit(url)
        right = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return right and url.isprintable() and " " not in url
