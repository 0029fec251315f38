"""The effective settings, one by one, each with its origin. Secrets are not shown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from recorder.settings.config import Settings, origin


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its dotted name, its value as in JSON, and its origin."""

    name: str
    value: Any  # None too where it is `hidden`: it may hold a secret
    hidden: bool
    origin: str  # "default", a flag, a variable, or the settings file

    @property
    def text(self) -> str:
        """The value for people."""
        if self.hidden:
            return "set, not shown"
        return "unset" if self.value is None else json.dumps(self.value, ensure_ascii=False)


def settings_of(settings: Settings, flags: Mapping[str, Any], file: Path) -> list[Setting]:
    """Return every setting, in the order of docs/settings.md.

    `flags` are those that were given to `config.load`, `file` is the file that it read. A setting
    that may hold a secret is shown as set, without its value. A key or token that is not among the
    settings has no line: it may be elsewhere (`recorder doctor` shows where).
    """
    return [
        Setting(".".join(place), value, hidden, _origin(place, settings, flags, file))
        for place, value, hidden in _walk(settings, ())
    ]


def _walk(model: BaseModel, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, bool]]:
    """Yield the place of each setting, its value, and whether it is hidden."""
    for name, field in type(model).model_fields.items():
        value, here = getattr(model, name), (*place, name)
        if isinstance(value, BaseModel):
            yield from _walk(value, here)
        elif isinstance(value, dict) and any(isinstance(one, BaseModel) for one in value.values()):
            for key, one in value.items():
                yield from _walk(one, (*here, key))
        elif isinstance(value, SecretStr) or (value and not field.repr):
            yield here, None, True
        elif not (value is None and "SecretStr" in str(field.annotation)):
            yield here, _plain(value), False


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _origin(place: Sequence[str], settings: Settings, flags: Mapping[str, Any], file: Path) -> str:
    override = origin(list(place), flags)
    if override is not None:
        return override
    tree: Any = type(settings).from_file
    for part in place:
        if not (isinstance(tree, Mapping) and part in tree):
            return "default"
        tree = tree[part]
    return str(file)
