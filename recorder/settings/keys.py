"""Finds a feed's key or a destination's token, and refuses a file that others can read."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from recorder.errors import CredentialsError
from recorder.settings.alerts import DestinationSettings
from recorder.settings.config import FeedSettings


def key_variable(name: str) -> str:
    """Return the variable that holds a feed's key; with `_FILE` appended, a key file's path."""
    return f"RECORDER_{name.upper().replace('-', '_').replace('.', '_')}_KEY"


def key_of(name: str, settings: FeedSettings, environ: Mapping[str, str]) -> str | None:
    """Return a feed's key, from the first place that has one; None if none has.

    Places, in order: `RECORDER_<NAME>_KEY`, the file that `RECORDER_<NAME>_KEY_FILE` or
    `key_file` names, `$CREDENTIALS_DIRECTORY/<name>_key`, `key` in the TOML.

    Raises:
        CredentialsError: a key file cannot be read, is empty, or others than its owner can read
            it; or the key is not one line of text.
    """
    places = _Places(
        key_variable(name), settings.key_file, f"{name}_key", f"feeds.{name}.key", settings.key
    )
    return _found(places, environ)


def token_variable(name: str) -> str:
    """Return the variable of a destination's token; with `_FILE` appended, a token file's path."""
    return f"RECORDER_{name.upper().replace('-', '_')}_TOKEN"


def token_of(name: str, settings: DestinationSettings, environ: Mapping[str, str]) -> str | None:
    """Return a destination's token, from the same places as a feed's key; None if none has one.

    Raises:
        CredentialsError: as for a key.
    """
    where = f"destinations.{name}.token"
    places = _Places(
        token_variable(name), settings.token_file, f"{name}_token", where, settings.token
    )
    return _found(places, environ)


def secrets_of(key: str | None) -> tuple[str, ...]:
    """Return the texts to redact for a key: the whole, and the parts of one like `KEY:SECRET`."""
    return (key, *(part for part in key.split(":") if len(part) >= 8)) if key else ()


@dataclass(frozen=True, slots=True)
class _Places:
    """The possible places of a secret: variable, file, credentials directory, setting."""

    variable: str
    file: Path | None
    credential: str
    setting: str
    inline: SecretStr | None


def _found(places: _Places, environ: Mapping[str, str]) -> str | None:
    where, key = _find(places, environ)
    key = key.strip()
    if not key.isprintable():
        raise CredentialsError("does not hold one line of text", where=where)
    return key or None


def _find(places: _Places, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the place of the secret, and the secret; empty if there is none."""
    if environ.get(places.variable):
        return places.variable, environ[places.variable]
    named = environ.get(f"{places.variable}_FILE") or places.file
    if named:
        return str(named), _key_file(Path(named).expanduser(), private=True)
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if directory and (path := Path(directory) / places.credential).is_file():
        return str(path), _key_file(path, private=False)
    return places.setting, places.inline.get_secret_value() if places.inline else ""


def _key_file(path: Path, *, private: bool) -> str:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        key = path.read_text("utf-8")
    except OSError as error:
        what = f"the key file cannot be read: {error.strerror}"
        raise CredentialsError(what, where=str(path)) from None
    except UnicodeDecodeError:
        raise CredentialsError("the key file is not UTF-8 text", where=str(path)) from None
    if private and mode & 0o077:
        raise CredentialsError(
            f"others can read this key file (mode {mode:04o})",
            where=str(path),
            hint=f"chmod 600 {path}",
        )
    if not key.strip():
        raise CredentialsError("the key file is empty", where=str(path))
    return key
