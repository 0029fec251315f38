"""Titles and texts with `{column}` in them: names and formats, nothing that could run. Pure."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from typing import Any

UNKNOWN = "-"

_FIELD = re.compile(r"[a-z_]+")
_TOO_WIDE = re.compile(r"\d{4}")


class Template:
    """A text with fields, such as `{symbol}` or `{notional_usd:,.0f}`; `{{` is a brace.

    Raises:
        ValueError: the syntax is wrong; `check` finds names and formats that do not fit.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts = [
            (literal, name, spec or "") for literal, name, spec, _ in string.Formatter().parse(text)
        ]
        for _, name, spec in self._parts:
            if name is not None and not _FIELD.fullmatch(name):
                raise ValueError(
                    f"{{{name}}} is not a field: expected {{column}} or {{column:format}}"
                )
            if "{" in spec or _TOO_WIDE.search(spec):
                raise ValueError(f"'{spec}' is not an allowed format")

    @property
    def names(self) -> set[str]:
        """The names of its fields."""
        return {name for _, name, _ in self._parts if name is not None}

    def check(self, samples: Mapping[str, Any]) -> None:
        """Check names and formats against sample values.

        Raises:
            ValueError: a field does not exist, or a format does not fit its type.
        """
        for _, name, spec in self._parts:
            if name is not None and name not in samples:
                raise ValueError(f"no field {{{name}}}; there are: {', '.join(sorted(samples))}")
            if name is not None and samples[name] is not None:
                format(samples[name], spec)

    def fill(self, values: Mapping[str, Any]) -> str:
        """Return the text with values: `-` if unknown, unformatted if the format does not fit."""
        return "".join(
            literal + ("" if name is None else _formatted(values.get(name), spec))
            for literal, name, spec in self._parts
        )


def _formatted(value: Any, spec: str) -> str:
    if value is None:
        return UNKNOWN
    try:
        return format(value, spec)
    except ValueError:
        return str(value)
