"""What a store says when it refuses, as an error of ours.

Only the code of its answer is taken over: the text of one may hold a key's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from recorder.errors import CredentialsError, RecorderError, StoreError

_CODE = re.compile(r"AWS Error (\w+)")
_OTHER = re.compile(r"Unable to parse ExceptionName: (\w+)")

#: Codes as the AWS SDK spells them, and as the service does where the SDK knows none.
_KEYS = {"INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "INVALID_CLIENT_TOKEN_ID",
         "MISSING_AUTHENTICATION_TOKEN", "UNRECOGNIZED_CLIENT", "INVALID_SIGNATURE",
         "REQUEST_EXPIRED", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}  # fmt: skip
_CLOCK = {"REQUEST_TIME_TOO_SKEWED", "RequestTimeTooSkewed"}
_AWAY = {"NETWORK_CONNECTION", "REQUEST_TIMEOUT", "SERVICE_UNAVAILABLE", "SLOW_DOWN",
         "INTERNAL_FAILURE", "THROTTLING"}  # fmt: skip
_VARIABLES = "see AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_ENDPOINT_URL"


@contextmanager
def named(url: str) -> Iterator[None]:
    """Turn what pyarrow raises within into a StoreError or CredentialsError about `url`.

    That something is not there stays a FileNotFoundError.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise _of(error, url) from None


def no_bucket(url: str) -> StoreError:
    """The error for a bucket that is not there."""
    return StoreError("no such bucket", where=url, hint="make it first, or correct raw_url")


def read_only(url: str) -> StoreError:
    """The error for a bucket that can be read, but takes nothing."""
    hint = "give the key the right to put objects, or use another key"
    return StoreError("the bucket takes no objects: it is read-only for us", where=url, hint=hint)


def _of(error: Exception, url: str) -> RecorderError:
    text = str(error)
    found = _OTHER.search(text) or _CODE.search(text)
    code = found[1] if found else _local(error)
    if code in _KEYS:
        return CredentialsError("the store refuses our key", where=url, hint=_VARIABLES)
    if code == "NO_SUCH_BUCKET":
        return no_bucket(url)
    if code in _CLOCK:
        hint = "set it right (an NTP client such as chrony), then try again"
        return StoreError("the store refuses this machine's clock", where=url, hint=hint)
    if code in _AWAY:
        hint = f"check the network and the endpoint; {_VARIABLES}"
        return StoreError(f"cannot be reached ({code})", where=url, hint=hint, away=True)
    if code in {"ACCESS_DENIED", "PermissionError"}:
        what = "the store denies access with our key"
        return StoreError(what, where=url, hint=_VARIABLES, denied=True)
    return StoreError(f"the store refuses: {code}", where=url, hint=_VARIABLES)


def _local(error: Exception) -> str:
    """What is known of an error of the file system, or of the network beneath."""
    if isinstance(error, OSError) and error.strerror and isinstance(error, PermissionError):
        return "PermissionError"
    return getattr(error, "strerror", None) or type(error).__name__
