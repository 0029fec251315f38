"""Translation of the errors of Delta and its store into the recorder's own.

The original text may quote a key, so it is not repeated if its meaning is known.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pyarrow as pa

from recorder.bucket import refusal
from recorder.errors import CredentialsError, RecorderError, StoreError

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_HINT = f"see {', '.join(_KEYS)} and AWS_ENDPOINT_URL"

_NO_BUCKET = re.compile(r"NoSuchBucket")
_REFUSED = re.compile(
    r"InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|Forbidden|Unauthorized|"
    r"PermissionDenied|Unauthenticated|Permission denied|\b40[13]\b"
)
_AWAY = re.compile(r"error sending request|onnection refused|timed out|dns error|\b50[0234]\b")


def bare(url: str) -> str:
    """Return a URL for messages: without user, password and query."""
    parts = urlsplit(url)
    return (
        url
        if not parts.scheme
        else f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    )


def meaning(text: str, url: str) -> RecorderError | None:
    """Return the error for a text of Delta about a store; None if the text is not known."""
    if _NO_BUCKET.search(text):
        return refusal.no_bucket(bare(url))
    if _REFUSED.search(text):
        return CredentialsError("the store rejects the key", where=bare(url), hint=_HINT)
    if _AWAY.search(text):
        return StoreError("cannot be reached", where=bare(url), hint=_HINT, away=True)
    return None


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Translate the errors of Delta and of the store that the block raises.

    Raises:
        StoreError, CredentialsError: the store cannot be used, or rejects the key.
    """
    from deltalake.exceptions import DeltaError

    try:
        yield
    except (DeltaError, OSError, pa.ArrowException) as error:
        if known := meaning(str(error), url):
            raise known from None
        what = f"cannot be used: {_without_keys(str(error)).splitlines()[0]}"
        raise StoreError(what, where=bare(url)) from None


def _without_keys(text: str) -> str:
    for value in filter(None, map(os.environ.get, _KEYS)):
        text = text.replace(value, "***")
    return text or "the store names no reason"
