"""Logging: plain structured lines on stderr, every one of them redacted."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog

from recorder.redact import Redactor


class _Stderr:
    """Standard error as it is when written to: a live table moves it aside and back.

    A closed pipe or a full disk behind it does not stop the program.
    """

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


def configure(
    redactor: Redactor, *, level: str = "info", json: bool = False, stream: TextIO | None = None
) -> None:
    """Send log lines to stderr (or `stream`), for people or as JSON, without secrets."""
    out = stream or cast(TextIO, _Stderr())

    def redact(
        logger: object, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        return {
            name: redactor(value) if isinstance(value, str) else value
            for name, value in event.items()
        }

    colours = out.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            structlog.processors.JSONRenderer()
            if json
            else structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )


def logger(**context: Any) -> structlog.stdlib.BoundLogger:
    """Return a logger with fields that each of its lines carries."""
    bound: structlog.stdlib.BoundLogger = structlog.get_logger(**context)
    return bound
