"""The settings: flag > environment (`RECORDER_…`) > credential file > TOML > default.

Unknown keys are errors that name the nearest known one; a key (secret) comes from the
environment, a file of mode 0600 or a credentials directory, or, with a warning, from the TOML.
"""

from __future__ import annotations

import os
import re
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
    SettingsError,
)

from recorder.errors import ConfigError, did_you_mean
from recorder.segment import FEED_NAME

_STRICT = ConfigDict(extra="forbid", frozen=True)
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

#: What a wrong value should have looked like, by pydantic's type of the error.
_EXAMPLES = {
    "list_type": 'for example: ["one", "two"]',
    "dict_type": 'for example: {"name": "value"}',
    "model_type": "a table is due here, for example [feeds.binance]",
}

#: Settings that may hold a secret stay out of every repr.
_Hidden = Field(repr=False)


class CaptureSettings(BaseModel):
    """How frames are written."""

    model_config = _STRICT

    rotate_mb: Positive = 64
    rotate_seconds: Positive = 300
    fsync_ms: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 100
    buffer_mb: Positive = 64
    stats_seconds: Positive = 10
    max_frame_mb: Positive = 64


class FeedSettings(BaseModel):
    """One feed; what is not set here is the feed's own fact."""

    model_config = _STRICT

    kind: str | None = None
    url: Annotated[str | tuple[str, ...], _Hidden] = ()
    rest_url: Annotated[str | None, _Hidden] = None
    lines: Annotated[int, Field(ge=1, le=8)] = 1
    channels: list[str] | None = None
    key: SecretStr | None = None
    key_file: Path | None = None
    headers: Annotated[dict[str, str], _Hidden] = {}
    query: Annotated[dict[str, str], _Hidden] = {}
    subscribe: Annotated[list[str], _Hidden] = []
    whale_usd: Positive = 100_000
    ca_file: Path | None = None
    proxy: Annotated[str | None, _Hidden] = None
    compression: bool = False
    max_retries: Annotated[int, Field(ge=0)] | None = None
    silence_seconds: Positive | None = None

    @field_validator("url", mode="plain")
    @classmethod
    def _websocket(cls, value: object) -> tuple[str, ...]:
        urls = [value] if isinstance(value, str) else value
        if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
            raise ValueError("not a URL, nor a list of URLs")
        for url in urls:
            _check_url(url)
        return tuple(urls)

    @field_validator("rest_url")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is not None:
            _check_url(value, ("https", "http"), "https://host, or http://host:port")
        return value

    @property
    def urls(self) -> tuple[str, ...]:
        """The endpoints set by the user, one per line in turn."""
        return (self.url,) if isinstance(self.url, str) else self.url


def _check_url(
    url: str,
    schemes: tuple[str, ...] = ("wss", "ws"),
    example: str = "wss://host/path or ws://host:port",
) -> None:
    what = "WebSocket URL" if "ws" in schemes else "HTTP URL"
    try:
        parts = urlsplit(url)
        right = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:
        right = False
    if not right or not url.isprintable() or " " in url:
        raise ValueError(f"not a {what}; one looks like {example}")
    if parts.fragment:
        raise ValueError(f"this {what} may have no '#' part")


class Settings(BaseSettings):
    """All settings of one recorder."""

    model_config = SettingsConfigDict(
        env_prefix="RECORDER_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
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
        raise _explain(error, given, file) from None
    except SettingsError as error:
        raise _explain_json(error) from None


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


def _explain(error: ValidationError, given: Mapping[str, Any], file: Path) -> ConfigError:
    first = error.errors(include_url=False, include_input=False)[0]
    place = [str(part) for part in first["loc"]]
    where = _origin(place, given) or f"{file}:{'.'.join(place)}"
    if first["type"] == "extra_forbidden":
        return ConfigError(
            "unknown setting", where=where, hint=did_you_mean(place[-1], _known_beside(place))
        )
    what = first["msg"].removeprefix("Value error, ")
    hint = _EXAMPLES.get(first["type"], "")
    return ConfigError(what[0].lower() + what[1:], where=where, hint=hint)


def _origin(place: list[str], given: Mapping[str, Any]) -> str | None:
    """The flag or the variable that set the value at this place; None: the file did."""
    if place[0] in given:
        return "--" + place[0].replace("_", "-")
    variables = {name.upper() for name in os.environ}
    for end in range(len(place), 0, -1):
        variable = "RECORDER_" + "__".join(place[:end]).upper()
        if variable in variables:
            return variable
    return None


def _explain_json(error: SettingsError) -> ConfigError:
    """A variable that stands for a whole table does not hold JSON."""
    quoted = re.search(r'field "(\w+)"', str(error))
    table = f"RECORDER_{quoted[1] if quoted else ''}".upper()
    names = sorted(name for name in os.environ if name.upper().startswith(table))
    return ConfigError(
        "is not JSON",
        where=" or ".join(names),
        hint="set single values instead, for example RECORDER_CAPTURE__ROTATE_MB=64",
    )


def _known_beside(place: list[str]) -> Iterator[str]:
    models: dict[str, type[BaseModel]] = {"capture": CaptureSettings, "feeds": FeedSettings}
    model = models.get(place[0], Settings) if len(place) > 1 else Settings
    return iter(model.model_fields)
