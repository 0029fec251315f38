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
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
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

from recorder import shard
from recorder.errors import ConfigError, did_you_mean
from recorder.feed import WHALE_USD
from recorder.frame import FEED_NAME
from recorder.settings.alerts import DestinationSettings, RuleSettings, names_of
from recorder.settings.fields import STRICT, is_url, means
from recorder.settings.place import place

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

#: An example of a right value, by pydantic's type of the error.
_EXAMPLES = {
    "list_type": 'for example: ["one", "two"]',
    "dict_type": 'for example: {"name": "value"}',
    "model_type": "expected a table, for example [feeds.binance]",
}

#: Settings that may hold a secret stay out of every repr.
_HIDDEN = {"repr": False}


_Level = Annotated[int, Field(ge=1, le=22)]


class CaptureSettings(BaseModel):
    """The writing of frames: journals, memory, sealing."""

    model_config = STRICT

    rotate_mb: Annotated[Positive, means("MB; a journal of this size is sealed")] = 64
    rotate_seconds: Annotated[Positive, means("s; a journal of this age is sealed")] = 300
    fsync_ms: Annotated[
        float, means("ms; what a power cut can take at most", ge=1, allow_inf_nan=False)
    ] = 100
    buffer_mb: Annotated[
        Positive, means("MB; how much is kept in memory while the disk refuses")
    ] = 64
    stats_seconds: Annotated[Positive, means("s between two `stats` markers of a connection")] = 10
    max_frame_mb: Annotated[
        Positive, means("MiB; a larger message ends its connection", le=256)
    ] = 64
    zstd_level: Annotated[
        _Level, means("how hard sealing compresses; a higher level takes the CPU longer")
    ] = 1
    shard: Annotated[
        str | None,
        means("this host's share of all channels, `3/8`: the third of eight; unset: everything"),
    ] = None

    @field_validator("shard")
    @classmethod
    def _share(cls, value: str | None) -> str | None:
        return None if value is None else str(shard.parse(value))


class PruneSettings(BaseModel):
    """The merging of a closed day's files by `recorder prune --compact`."""

    model_config = STRICT

    target_mb: Annotated[Positive, means("MB; largest size of a merged file")] = 128
    zstd_level: Annotated[_Level, means("how hard merged files are compressed")] = 9


class BucketSettings(BaseModel):
    """The upload of sealed files to `raw_url`, and local copies."""

    model_config = STRICT

    keep_local_hours: Annotated[
        float, means("h; a sent file is kept here for this time", ge=0, allow_inf_nan=False)
    ] = 24
    spool_gb: Annotated[
        Positive, means("GB; loud warnings from 80 % of what may wait here for the bucket")
    ] = 50
    cache_gb: Annotated[Positive, means("GB; fetched files that are kept here")] = 10


class FeedSettings(BaseModel):
    """One feed; a setting that is missing has the default of the feed's kind."""

    model_config = STRICT

    kind: Annotated[str | None, means("the feed's kind; unset: the table's name")] = None
    url: Annotated[
        str | tuple[str, ...], means("endpoint, or one for each line in turn (ws, wss)", **_HIDDEN)
    ] = ()
    rest_url: Annotated[
        str | None,
        means("where the venue's list of instruments is asked for (http, https)", **_HIDDEN),
    ] = None
    lines: Annotated[int, means("connections kept at once, each with all channels", ge=1, le=8)] = 1
    channels: Annotated[
        list[str] | None,
        means("what to subscribe to; a `*` stands for symbols, where the venue lists them"),
    ] = None
    key: Annotated[
        SecretStr | None, means("the key; better kept in a variable or a file, see below")
    ] = None
    key_file: Annotated[Path | None, means("a file of mode 0600 that holds the key")] = None
    headers: Annotated[dict[str, str], means("HTTP headers of the handshake", **_HIDDEN)] = {}
    query: Annotated[
        dict[str, str], means("parameters of the URL; `{key}` stands for the key", **_HIDDEN)
    ] = {}
    subscribe: Annotated[
        list[str], means("messages to send when a connection opens (generic feeds)", **_HIDDEN)
    ] = []
    ping: Annotated[
        str | None, means("a message that keeps the connection alive (generic feeds)", **_HIDDEN)
    ] = None
    ping_every: Annotated[
        Positive | None, means("s between two of these messages; unset: 30 (generic feeds)")
    ] = None
    reply: Annotated[
        dict[str, str],
        means(
            "answers to the service's messages: a regular expression and the answer, in which"
            " `\\1` stands for its first group (generic feeds)",
            **_HIDDEN,
        ),
    ] = {}
    decode: Annotated[
        Literal["gzip", "deflate-base64"] | None,
        means("how the service packs its messages, for `reply`; raw stays packed (generic feeds)"),
    ] = None
    poll: Annotated[
        list[str],
        means("URLs to ask again and again; their answers are frames (generic feeds)", **_HIDDEN),
    ] = []
    every: Annotated[
        float | None,
        means("s between two requests of a polled URL; unset: the feed's own", ge=1, le=86400),
    ] = None
    whale_usd: Annotated[
        Positive, means("US dollars; trades of this value or more become rows of `whales`")
    ] = WHALE_USD
    ca_file: Annotated[
        Path | None, means("certificates (PEM) to trust instead of the system's")
    ] = None
    proxy: Annotated[
        str | None,
        means(
            "a proxy's URL (http, https; socks5 with the extra `socks`); unset: the system's",
            **_HIDDEN,
        ),
    ] = None
    compression: Annotated[bool, means("offer permessage-deflate")] = False
    max_retries: Annotated[
        Annotated[int, Field(ge=0)] | None,
        means("failed attempts in a row that are tried again before the feed ends; unset: all"),
    ] = None
    silence_seconds: Annotated[
        Positive | None, means("s without a byte after which a connection counts as dead")
    ] = None

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

    @field_validator("poll")
    @classmethod
    def _polled(cls, value: list[str]) -> list[str]:
        for url in value:
            _check_url(url, ("https", "http"), "https://host/path, or http://host:port/path")
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
    if not is_url(url, schemes):
        raise ValueError(f"not a {what}; one looks like {example}")
    if urlsplit(url).fragment:
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

    data_dir: Annotated[Path, means("where the record is")] = Path("data")
    group_may_read: Annotated[
        bool,
        means("the files' group may read them (0640, directories 0750), not only their owner"),
    ] = False
    raw_url: Annotated[
        str | None, means("a bucket for sealed files: `s3://bucket/prefix` or `file:///path`")
    ] = None
    capture: CaptureSettings = CaptureSettings()
    tables_url: Annotated[
        str | None,
        means("a lake to query instead of recorder.duckdb; `s3://bucket/prefix`"),
    ] = None
    bucket: BucketSettings = BucketSettings()
    prune: PruneSettings = PruneSettings()
    feeds: dict[str, FeedSettings] = {}
    alerts: dict[str, RuleSettings] = {}
    destinations: dict[str, DestinationSettings] = {}

    @field_validator("raw_url")
    @classmethod
    def _bucket(cls, value: str | None) -> str | None:
        return None if value is None else place(value).url

    @field_validator("alerts", "destinations")
    @classmethod
    def _alert_names(cls, value: dict[str, Any]) -> dict[str, Any]:
        return names_of(value)

    @field_validator("feeds")
    @classmethod
    def _names(cls, value: dict[str, FeedSettings]) -> dict[str, FeedSettings]:
        for name in value:
            if not FEED_NAME.fullmatch(name):
                raise ValueError(f"'{name}' is not a feed name: letters, digits, '-', '_' and '.'")
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


def tables() -> Iterator[tuple[str, bool, type[BaseModel]]]:
    """Yield each table of the file: its name, whether it has tables with names, and its model."""
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield name, False, field.annotation
        elif get_origin(field.annotation) is dict:
            yield name, True, get_args(field.annotation)[1]


def load(path: Path | None, **flags: Any) -> Settings:
    """Read the settings; `path` None means `recorder.toml` here, if there is one.

    A flag of None counts as not set.

    Raises:
        ConfigError: the file is missing or not TOML, a key is unknown, a value is wrong.
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
    where = origin(place, given) or f"{file}:{'.'.join(place)}"
    if first["type"] == "extra_forbidden":
        return ConfigError(
            "unknown setting", where=where, hint=did_you_mean(place[-1], _known_beside(place))
        )
    what = first["msg"].removeprefix("Value error, ")
    hint = _EXAMPLES.get(first["type"], "")
    return ConfigError(what[0].lower() + what[1:], where=where, hint=hint)


def origin(place: list[str], given: Mapping[str, Any]) -> str | None:
    """Return the flag or the variable that set the value at this place; None: the file did."""
    flag, table = place[0], given.get(place[0])
    if isinstance(table, Mapping) and len(place) > 1:
        flag, table = place[1], table.get(place[1])
    if table is not None:
        return "--" + flag.replace("_", "-")
    variables = {name.upper() for name, value in os.environ.items() if value}  # empty is unset
    for end in range(len(place), 0, -1):
        variable = "RECORDER_" + "__".join(place[:end]).upper()
        if variable in variables:
            return variable
    return None


def _explain_json(error: SettingsError) -> ConfigError:
    """Return the error for a variable of a whole table that does not hold JSON."""
    quoted = re.search(r'field "(\w+)"', str(error))
    table = f"RECORDER_{quoted[1] if quoted else ''}".upper()
    names = sorted(name for name in os.environ if name.upper().startswith(table))
    return ConfigError(
        "is not JSON",
        where=" or ".join(names),
        hint="set single values instead, for example RECORDER_CAPTURE__ROTATE_MB=64",
    )


def _known_beside(place: list[str]) -> Iterator[str]:
    models = {name: model for name, _, model in tables()}
    model = models.get(place[0], Settings) if len(place) > 1 else Settings
    return iter(model.model_fields)
