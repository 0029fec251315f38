"""The settings: flag > environment (`RECORDER_…`) > credential file > TOML > default.

Unknown keys are errors that name the nearest known one; a key (secret) comes from the
environment, a file of mode 0600 or a credentials directory, or, with a warning, from the TOML.
"""

from __future__ import annotations

import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from recorder.errors import ConfigError, CredentialsError, did_you_mean
from recorder.segment import FEED_NAME

_STRICT = ConfigDict(extra="forbid", frozen=True)
Positive = Annotated[float, Field(gt=0)]


class CaptureSettings(BaseModel):
    """How frames are written."""

    model_config = _STRICT

    rotate_mb: Positive = 64
    rotate_seconds: Positive = 300
    fsync_ms: Annotated[float, Field(ge=1)] = 100
    buffer_mb: Positive = 64
    stats_seconds: Positive = 10
    max_frame_mb: Positive = 64


class FeedSettings(BaseModel):
    """One feed; what is not set here is the feed's own fact."""

    model_config = _STRICT

    kind: str | None = None
    url: str | list[str] | None = None
    lines: Annotated[int, Field(ge=1, le=8)] = 1
    channels: list[str] | None = None
    key: SecretStr | None = None
    key_file: Path | None = None
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    subscribe: list[str] = []
    whale_usd: Positive = 100_000
    ca_file: Path | None = None
    proxy: str | None = None
    compression: bool = False
    max_retries: Annotated[int, Field(ge=0)] | None = None
    silence_seconds: Positive | None = None

    @field_validator("url")
    @classmethod
    def _websocket(cls, value: str | list[str] | None) -> str | list[str] | None:
        for url in [value] if isinstance(value, str) else value or []:
            parts = urlsplit(url)
            if parts.scheme not in {"ws", "wss"} or not parts.hostname:
                raise ValueError("not a WebSocket URL; it begins with wss:// or ws://")
        return value

    @property
    def urls(self) -> tuple[str, ...]:
        """The endpoints set by the user, one per line in turn."""
        return (self.url,) if isinstance(self.url, str) else tuple(self.url or ())


class Settings(BaseSettings):
    """All settings of one recorder."""

    model_config = SettingsConfigDict(
        env_prefix="RECORDER_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    from_file: ClassVar[dict[str, Any]] = {}

    data_dir: Path = Path("data")
    capture: CaptureSettings = CaptureSettings()
    feeds: dict[str, FeedSettings] = {}

    @field_validator("feeds")
    @classmethod
    def _names(cls, value: dict[str, FeedSettings]) -> dict[str, FeedSettings]:
        for name in value:
            if not FEED_NAME.fullmatch(name):
                raise ValueError(f"'{name}' is no feed name: letters, digits, '-', '_' and '.'")
        return value

    @classmethod
    def settings_customise_sources(  # noqa: D102 - pydantic-settings' own hook
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, InitSettingsSource(settings_cls, cls.from_file)


def load(path: Path | None, **flags: Any) -> Settings:
    """Read the settings; `path` None means `recorder.toml` here, if there is one.

    Flags that are None are not set.

    Raises:
        ConfigError: the file is missing or no TOML, a key is unknown, a value is wrong.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    file = path or Path("recorder.toml")
    tree = _read(file) if path is not None or file.is_file() else {}

    class _Loaded(Settings):
        from_file = tree

    try:
        return _Loaded(**given)
    except ValidationError as error:
        raise _explain(error, file) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}",
            where=str(path),
            hint="name another file with --config, or leave it out for the defaults",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"is not TOML: {error}", where=str(path)) from None


def _explain(error: ValidationError, file: Path) -> ConfigError:
    first = error.errors(include_url=False, include_input=False)[0]
    place = [str(part) for part in first["loc"]]
    where = f"{file}:{'.'.join(place)}"
    if first["type"] == "extra_forbidden":
        return ConfigError(
            "unknown setting", where=where, hint=did_you_mean(place[-1], _known_beside(place))
        )
    what = first["msg"].removeprefix("Value error, ")
    return ConfigError(what[0].lower() + what[1:], where=where)


def _known_beside(place: list[str]) -> Iterator[str]:
    models: dict[str, type[BaseModel]] = {"capture": CaptureSettings, "feeds": FeedSettings}
    model = models.get(place[0], Settings) if len(place) > 1 else Settings
    return iter(model.model_fields)


def key_of(name: str, settings: FeedSettings, environ: Mapping[str, str]) -> str | None:
    """A feed's key, from the first place that has one; None if none has.

    Places, in order: `RECORDER_<NAME>_KEY`, the file that `RECORDER_<NAME>_KEY_FILE` or
    `key_file` names, `$CREDENTIALS_DIRECTORY/<name>_key`, `key` in the TOML.

    Raises:
        CredentialsError: a key file cannot be read, or others than its owner can read it.
    """
    variable = f"RECORDER_{name.upper().replace('-', '_').replace('.', '_')}_KEY"
    if environ.get(variable):
        return environ[variable]
    named = environ.get(f"{variable}_FILE") or settings.key_file
    if named:
        return _key_file(Path(named), private=True)
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if directory and (Path(directory) / f"{name}_key").is_file():
        return _key_file(Path(directory) / f"{name}_key", private=False)
    return settings.key.get_secret_value() if settings.key else None


def _key_file(path: Path, *, private: bool) -> str:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        key = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(f"the key file cannot be read: {error}", where=str(path)) from None
    if private and mode & 0o077:
        raise CredentialsError(
            f"others can read this key file (mode {mode:04o})",
            where=str(path),
            hint=f"chmod 600 {path}",
        )
    return key
