"""Errors of an object store, translated into the recorder's own.

Only the code of the store's answer is used: its text may contain the id of a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from recorder.errors import CredentialsError, RecorderError, StoreError

_CODE = re.compile(r"AWS Error (\w+)")
_OTHER = re.compile(r"Unable to parse ExceptionName: (\w+)")

#: Error codes as the AWS SDK spells them, or as the service does where the SDK knows none.
_KEYS = {"INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "INVALID_CLIENT_TOKEN_ID",
         "MISSING_AUTHENTICATION_TOKEN", "UNRECOGNIZED_CLIENT", "INVALID_SIGNATURE",
         "REQUEST_EXPIRED", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}  # fmt: skip
_CLOCK = {"REQUEST_TIME_TOO_SKEWED", "RequestTimeTooSkewed"}
_UNAVAILABLE = {"NETWORK_CONNECTION", "REQUEST_TIMEOUT", "SERVICE_UNAVAILABLE", "SLOW_DOWN",
         "INTERNAL_FAILURE", "THROTTLING"}  # fmt: skip
_VARIABLES = "see AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_ENDPOINT_URL"


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Translate errors of pyarrow within the block into errors about `url`.

    Raises:
        CredentialsError: the store rejects the key.
        StoreError: any other error of the store or the network.
        FileNotFoundError: passed on unchanged.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise _of(error, url) from None


def no_bucket(url: str) -> StoreError:
    """Return the error for a bucket that does not exist."""
    return StoreError("no such bucket", where=url, hint="create it, or correct raw_url")


def read_only(url: str) -> StoreError:
    """Return the error for a bucket that the key can read but not write."""
    hint = "allow the key to put objects, or use another key"
    return StoreError("the bucket is read-only for this key", where=url, hint=hint)


def _of(error: Exception, url: str) -> RecorderError:
    text = str(error)
    match = _OTHER.search(text) or _CODE.search(text)
    code = match[1] if match else _local(error)
    if code in _KEYS:
        return CredentialsError("the store rejects the key", where=url, hint=_VARIABLES)
    if code == "NO_SUCH_BUCKET":
        return no_bucket(url)
    if code in _CLOCK:
        hint = "synchronise it with an NTP client such as chrony, then retry"
        return StoreError("the store rejects this machine's clock", where=url, hint=hint)
    if code in _UNAVAILABLE:
        hint = f"check the network and the endpoint; {_VARIABLES}"
        return StoreError(f"cannot be reached ({code})", where=url, hint=hint, away=True)
    if code in {"ACCESS_DENIED", "PermissionError"}:
        what = "the store denies access with this key"
        return StoreError(what, where=url, hint=_VARIABLES, denied=True)
    return StoreError(f"the store answers with an error: {code}", where=url, hint=_VARIABLES)


def _local(error: Exception) -> str:
    """Return the name of an error of the file system or of the network."""
    if isinstance(error, OSError) and error.strerror and isinstance(error, PermissionError):
        return "PermissionError"
    return getattr(error, "strerror", None) or type(error).__name__
