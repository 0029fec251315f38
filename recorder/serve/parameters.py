"""The parameters of a request, checked."""

from __future__ import annotations

import msgspec
from starlette.requests import Request

from recorder.errors import UsageError


def number(request: Request, name: str, default: int | None, least: int, most: int) -> int:
    """Return a parameter that is a whole number from `least` to `most`.

    Raises:
        UsageError: it is missing and has no default, is not a whole number, or is out of range.
    """
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    if text is None or not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise UsageError(f"{name} must be a whole number")
    if not least <= int(text) <= most:
        raise UsageError(f"{name} must be between {least} and {most}")
    return int(text)


def text(request: Request, name: str) -> str:
    """Return a required parameter.

    Raises:
        UsageError: it is missing or longer than 200 characters.
    """
    value = request.query_params.get(name, "")
    if not value or len(value) > 200:
        raise UsageError(f"{name} is missing or longer than 200 characters")
    return value


async def sql(request: Request) -> str:
    """Return the SQL in a request's body.

    Raises:
        UsageError: the body is not a JSON object with a text `sql`.
    """
    try:
        body = msgspec.json.decode(await request.body())
        text = body["sql"]
    except (msgspec.DecodeError, TypeError, KeyError):
        text = None
    if not isinstance(text, str):
        what = "the body must be a JSON object with a text 'sql'"
        raise UsageError(what, hint='{"sql": "SHOW TABLES"}')
    return text
