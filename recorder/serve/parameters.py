"""What a request gives, read and checked."""

from __future__ import annotations

import msgspec
from starlette.requests import Request

from recorder.errors import UsageError


def number(request: Request, name: str, default: int | None, least: int, most: int) -> int:
    """A parameter that is a whole number between `least` and `most`."""
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    if text is None or not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise UsageError(f"{name} is a whole number")
    if not least <= int(text) <= most:
        raise UsageError(f"{name} is between {least} and {most}")
    return int(text)


def text(request: Request, name: str) -> str:
    """A parameter that has to be there, of at most 200 characters."""
    found = request.query_params.get(name, "")
    if not found or len(found) > 200:
        raise UsageError(f"{name} is missing, or too long")
    return found


async def sql(request: Request) -> str:
    """The SQL that the body holds."""
    try:
        told = msgspec.json.decode(await request.body())
        text = told["sql"]
    except (msgspec.DecodeError, TypeError, KeyError):
        text = None
    if not isinstance(text, str):
        raise UsageError(
            "the body is no JSON object with a text 'sql'", hint='{"sql": "SHOW TABLES"}'
        )
    return text
