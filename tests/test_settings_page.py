"""docs/settings.md lists every key of recorder.toml; `make docs` writes it again."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from kit.pages import generated
from pydantic import BaseModel, SecretStr

from recorder import times
from recorder.clock import NS
from recorder.feeds import KINDS, feed
from recorder.settings.config import Settings, load, tables
from recorder.settings.keys import key_variable

HEAD = """\
# Settings

`recorder.toml` in the working directory, or the file that `--config` names. `recorder init` writes
one, `recorder doctor` looks it over, `recorder config` shows what holds and where it comes from. An
unknown key is an error that names the nearest known one.

A flag of the command line comes before a variable of the environment, that before the file, and the
file before the default. A variable is `RECORDER_`, the table and the key in capitals, with two
underscores between: `RECORDER_CAPTURE__ROTATE_MB=16`. Lists and tables are JSON there.

A running capture reads the file again on SIGHUP; `data_dir`, `raw_url`,
`[bucket]` and `[capture]` need a restart, but `shard` does not.

A duration is a text with units, `"90s"`, `"1h30m"`, `"15 minutes"`, or a number of seconds; see
[Times and durations](cli.md#times-and-durations). Months have no fixed length and are refused here.
"""

KEYS = """\
## Keys

A feed's key is looked for in this order: `{variable}`, the file that
`{variable}_FILE` or `key_file` names (mode 0600),
`$CREDENTIALS_DIRECTORY/smartmoney_key`, and `key` in the file, with a warning. In the variable's
name `-` and `.` become `_`.

| feed | needs |
|---|---|
"""

DEFAULTS = """\
## What the feeds set themselves

| kind | default channels |
|---|---|
"""

#: What a validator reads that TOML has no type for: the type's name, and how a default is spelled.
READ: dict[str, tuple[str, Callable[[Any], str]]] = {
    "seconds": ("duration", lambda value: f'"{times.duration(int(value * NS))}"'),
    "rate": ("rate", lambda value: f'"{value[0]}/{times.duration(int(value[1] * NS))}"'),
}


def sections() -> Iterator[tuple[str, str, type[BaseModel]]]:
    """Each table of the file: its heading, its variables' beginning, its model."""
    yield "At the top", "", Settings
    for name, named, model in tables():
        if named:
            yield f"[{name}.NAME]", f"{name.upper()}__NAME__", model
        else:
            yield f"[{name}]", f"{name.upper()}__", model


TABLES = {name for name, *_ in tables()}


def page() -> str:
    """The page as it should be."""
    parts = [HEAD]
    for title, prefix, model in sections():
        parts.append(f"## {title}\n")
        if model is not Settings:
            parts.append(f"{(model.__doc__ or '').strip()}\n")
        parts.append("| key | type | default | meaning | variable |\n|---|---|---|---|---|")
        parts += [*rows(model, prefix), ""]
    needs = [f"| {kind} | {feed(kind).key_help} |" for kind in KINDS if feed(kind).key_help]
    parts.append(KEYS.format(variable=key_variable("smartmoney")) + "\n".join(needs) + "\n")
    brings = [f"| {kind} | {channels(kind)} |" for kind in KINDS]
    parts.append(DEFAULTS + "\n".join(brings) + "\n")
    return "\n".join(parts)


def rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if model is Settings and name in TABLES:
            continue
        secret = field.annotation is not None and SecretStr in get_args(field.annotation)
        variable = "see Keys" if secret else f"`RECORDER_{prefix}{name.upper()}`"
        validators = (getattr(getattr(one, "func", None), "__name__", "") for one in field.metadata)
        read = next((READ[one] for one in validators if one in READ), None)
        limits = "".join(limit(one) for one in found(field.annotation, field.metadata))
        kind = (read[0] if read else spelled(field.annotation)) + limits
        spell = read[1] if read else toml
        default = "unset" if field.default in UNSET else f"`{spell(field.default)}`"
        yield f"| `{name}` | {kind} | {default} | {field.description} | {variable} |"


#: Defaults that say that nothing is set.
UNSET: tuple[object, ...] = (None, (), [], {})


def toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, (str, Path)) else f"{value}"


def found(annotation: object, metadata: list[Any]) -> Iterator[Any]:
    """The limits of a setting, wherever its annotation keeps them."""
    for one in metadata:
        yield from getattr(one, "metadata", None) or [one]
    for part in get_args(annotation):
        if get_origin(part) is Annotated:
            yield from found(get_args(part)[0], list(get_args(part)[1:]))


def limit(one: object) -> str:
    signs = {"gt": "more than", "ge": "at least", "le": "at most"}
    there = {word: getattr(one, name) for name, word in signs.items() if hasattr(one, name)}
    return "".join(f", {word} {bound}" for word, bound in there.items())


def spelled(annotation: object) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return spelled(parts[0])
    if origin in (Union, types.UnionType):
        return " or ".join(spelled(part) for part in parts if part is not type(None))
    if origin in (list, tuple):
        return f"list of {spelled(parts[0])}" + ("s" if parts[0] is str else "")
    if origin is dict:
        return "table of texts"
    if origin is Literal:
        return " or ".join(f"`{part}`" for part in parts)
    names = {str: "text", Path: "path", SecretStr: "text", float: "number", int: "whole number"}
    return {**names, bool: "true or false"}[annotation]  # type: ignore[index]


def channels(kind: str) -> str:
    return ", ".join(f"`{name}`" for name in feed(kind).default_channels) or "none"


def test_the_page_lists_every_setting() -> None:
    generated("docs/settings.md", page())


@pytest.mark.parametrize("model", [model for *_, model in sections()])
def test_every_setting_says_what_it_means(model: type[BaseModel]) -> None:
    silent = {name for name, field in model.model_fields.items() if not field.description}
    assert silent <= (TABLES if model is Settings else set())


def test_the_variables_of_the_page_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"CAPTURE__ZSTD_LEVEL": "3", "PRUNE__TARGET_MB": "32", "FEEDS__BINANCE__LINES": "2"}
    for name, value in given.items():
        assert f"RECORDER_{name}`" in page().replace("FEEDS__NAME", "FEEDS__BINANCE")
        monkeypatch.setenv(f"RECORDER_{name}", value)
    settings = load(None)
    assert (settings.capture.zstd_level, settings.prune.target_mb) == (3, 32)
    assert settings.feeds["binance"].lines == 2


def test_a_settings_file_points_to_the_page() -> None:
    from recorder.settings.example import settings

    assert re.search(r"^# .*docs/settings\.md", settings([feed("binance")]), re.MULTILINE)
