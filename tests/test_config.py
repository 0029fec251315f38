"""Where settings come from, which are refused, and what the refusal says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from recorder.capture.sources import sources
from recorder.errors import ConfigError, CredentialsError
from recorder.settings.config import FeedSettings, Settings, load
from recorder.settings.keys import key_of, key_variable

SECRET = "s3cr3t-value"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory, and no variable of the recorder's."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.upper().startswith("RECORDER_") or name == "CREDENTIALS_DIRECTORY":
            monkeypatch.delenv(name)


def written(text: str) -> Path:
    Path("recorder.toml").write_text(text, "utf-8")
    return Path("recorder.toml")


def refused(text: str = "") -> ConfigError:
    """The error that this file leads to."""
    written(text)
    with pytest.raises(ConfigError) as caught:
        load(None)
    assert caught.value.exit_code == 2
    return caught.value


# -- where settings come from


def test_without_anything_the_defaults_hold() -> None:
    settings = load(None)
    assert settings.data_dir == Path("data")
    assert (settings.capture.rotate_mb, settings.capture.fsync_ms) == (64, 100)
    assert settings.feeds == {}


def test_a_file_here_is_found_by_itself() -> None:
    written('data_dir = "from-file"')
    assert load(None).data_dir == Path("from-file")


def test_a_file_can_be_named() -> None:
    Path("other.toml").write_text('data_dir = "other"')
    written('data_dir = "from-file"')
    assert load(Path("other.toml")).data_dir == Path("other")


def test_flag_wins_over_environment_wins_over_file(monkeypatch: pytest.MonkeyPatch) -> None:
    file = written('data_dir = "file"')
    assert load(file).data_dir == Path("file")
    monkeypatch.setenv("RECORDER_DATA_DIR", "environment")
    assert load(file).data_dir == Path("environment")
    assert load(file, data_dir=Path("flag")).data_dir == Path("flag")
    assert load(file, data_dir=None).data_dir == Path("environment")


def test_the_environment_changes_single_values_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    file = written("[capture]\nrotate_mb = 1\nfsync_ms = 50\n[feeds.binance]\nlines = 2\n")
    monkeypatch.setenv("RECORDER_CAPTURE__ROTATE_MB", "8")
    monkeypatch.setenv("RECORDER_FEEDS__BINANCE__CHANNELS", '["btcusdt@aggTrade"]')
    monkeypatch.setenv("RECORDER_FEEDS__BINANCE__URL", "wss://example.org")
    settings = load(file)
    assert (settings.capture.rotate_mb, settings.capture.fsync_ms) == (8, 50)
    assert settings.feeds["binance"].lines == 2
    assert settings.feeds["binance"].channels == ["btcusdt@aggTrade"]
    assert settings.feeds["binance"].urls == ("wss://example.org",)


def test_an_empty_variable_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECORDER_DATA_DIR", "")
    assert load(None).data_dir == Path("data")


def test_one_url_or_several() -> None:
    file = written(
        '[feeds.a]\nurl = "wss://one"\n[feeds.b]\nurl = ["wss://one", "ws://two:80/x"]\n[feeds.c]\n'
    )
    feeds = load(file).feeds
    assert [feeds[name].urls for name in "abc"] == [
        ("wss://one",),
        ("wss://one", "ws://two:80/x"),
        (),
    ]


# -- what is refused


def test_a_named_file_must_exist() -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file") as caught:
        load(Path("missing.toml"))
    assert caught.value.where == "missing.toml"
    assert "--config" in caught.value.hint


@pytest.mark.parametrize("content", [b"data_dir =", b"a = 1\na = 2", b"\xff\xfe"])
def test_a_file_that_is_not_toml_says_where(content: bytes) -> None:
    Path("recorder.toml").write_bytes(content)
    with pytest.raises(ConfigError, match="is not TOML") as caught:
        load(None)
    assert caught.value.where == "recorder.toml"


@pytest.mark.parametrize(
    ("text", "where", "nearest"),
    [
        ('data_dri = "x"', "data_dri", "'data_dir'"),
        ("[captur]", "captur", "'capture'"),
        ("[capture]\nrotate_mbs = 1", "capture.rotate_mbs", "'rotate_mb'"),
        ("[feeds.binance]\nchanels = []", "feeds.binance.chanels", "'channels'"),
        ("[feeds.binance]\nqqqq = 1", "feeds.binance.qqqq", "known: "),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(text: str, where: str, nearest: str) -> None:
    error = refused(text)
    assert str(error).startswith(f"recorder.toml:{where}: unknown setting\n")
    assert nearest in error.hint


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ('[capture]\nrotate_mb = "big"', "capture.rotate_mb", "valid number"),
        ("[capture]\nrotate_mb = 0", "capture.rotate_mb", "greater than 0"),
        ("[capture]\nrotate_mb = inf", "capture.rotate_mb", "finite"),
        ("[capture]\nfsync_ms = nan", "capture.fsync_ms", "finite"),
        ("[capture]\nfsync_ms = 0.5", "capture.fsync_ms", "greater than or equal to 1"),
        ("[feeds.x]\nlines = 0", "feeds.x.lines", "greater than or equal to 1"),
        ("[feeds.x]\nlines = 9", "feeds.x.lines", "less than or equal to 8"),
        ("[feeds.x]\nmax_retries = -1", "feeds.x.max_retries", "greater than or equal to 0"),
        ('[feeds.x]\nchannels = "a"', "feeds.x.channels", "valid list"),
        ("[feeds.x]\nchannels = [1]", "feeds.x.channels.0", "valid string"),
        ("[feeds.x]\nheaders = {A = 1}", "feeds.x.headers.A", "valid string"),
        ("[feeds.x]\nkey = 5", "feeds.x.key", "valid string"),
        ("feeds = 1", "feeds", "valid dictionary"),
        ("[feeds]\nbinance = 1", "feeds.binance", "valid dictionary"),
        ("data_dir = 5", "data_dir", "not a valid path"),
        ('[feeds."../up"]', "feeds", "'../up' is not a feed name"),
        ('[feeds."a b"]', "feeds", "'a b' is not a feed name"),
    ],
)
def test_a_wrong_value_says_where_and_what(text: str, where: str, what: str) -> None:
    error = refused(text)
    assert error.where == f"recorder.toml:{where}"
    assert what in error.what


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "example.org",
        "",
        "wss://",
        "wss://[::1",
        "wss://h:99999",
        "wss://h:0",
        "wss://h:x",
        "wss://h/a b",
        "wss://h/a\\nb",
        "wss://h/#part",
    ],
)
@pytest.mark.parametrize("many", [False, True])
def test_a_bad_url_is_refused(url: str, many: bool) -> None:
    value = f'["wss://good", "{url}"]' if many else f'"{url}"'
    error = refused(f"[feeds.x]\nurl = {value}")
    assert error.where == "recorder.toml:feeds.x.url"
    assert "WebSocket URL" in error.what


@pytest.mark.parametrize("value", ["5", "[5]", "{a = 1}", "true"])
def test_what_is_no_url_at_all_is_refused(value: str) -> None:
    assert refused(f"[feeds.x]\nurl = {value}").what == "not a URL, nor a list of URLs"


@pytest.mark.parametrize(
    ("variable", "value", "what"),
    [
        ("RECORDER_CAPTURE__ROTATE_MB", "big", "valid number"),
        ("RECORDER_CAPTURE__ROTATE", "1", "unknown setting"),
        ("RECORDER_FEEDS__BINANCE__LINES", "0", "greater than or equal to 1"),
        ("RECORDER_FEEDS__BINANCE__CHANNELS", "a,b", "valid list"),
        ("RECORDER_FEEDS__BINANCE__URL", "http://x", "WebSocket URL"),
        ("RECORDER_FEEDS__BINANCE__HEADERS", "abc", "is not JSON"),
        ("RECORDER_FEEDS__BINANCE", '{"urll": "wss://x"}', "unknown setting"),
        ("RECORDER_FEEDS", "abc", "is not JSON"),
        ("RECORDER_CAPTURE", "abc", "is not JSON"),
    ],
)
def test_a_wrong_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, what: str
) -> None:
    written("[capture]\nrotate_mb = 1\n[feeds.binance]\nlines = 1\n")
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as caught:
        load(None)
    assert caught.value.where == variable
    assert what in caught.value.what


def test_a_wrong_flag_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECORDER_DATA_DIR", "fine")
    with pytest.raises(ConfigError) as caught:
        load(None, data_dir=5)
    assert caught.value.where == "--data-dir"


# -- keys


def key(settings: FeedSettings | None = None, name: str = "my-feed", **environ: str) -> str | None:
    return key_of(name, settings or FeedSettings(), environ)


def key_file(content: str, mode: int = 0o600, name: str = "key") -> Path:
    path = Path(name)
    path.write_text(content)
    path.chmod(mode)
    return path


def test_the_variable_of_a_feed_s_key() -> None:
    assert key_variable("my-feed.2") == "RECORDER_MY_FEED_2_KEY"


def test_a_key_is_taken_from_the_first_place_that_has_one() -> None:
    Path("credentials").mkdir()
    places = FeedSettings(key_file=key_file("of key_file", name="b"), key=SecretStr("of the TOML"))
    only_toml = FeedSettings(key=SecretStr("of the TOML"))
    environ = {
        "RECORDER_MY_FEED_KEY": "of the environment",
        "RECORDER_MY_FEED_KEY_FILE": str(key_file("of KEY_FILE", name="a")),
        "CREDENTIALS_DIRECTORY": "credentials",
    }
    key_file("of the directory", 0o440, "credentials/my-feed_key")
    assert key(places, **environ) == "of the environment"
    del environ["RECORDER_MY_FEED_KEY"]
    assert key(places, **environ) == "of KEY_FILE"
    del environ["RECORDER_MY_FEED_KEY_FILE"]
    assert key(places, **environ) == "of key_file"
    assert key(only_toml, **environ) == "of the directory"
    del environ["CREDENTIALS_DIRECTORY"]
    assert key(only_toml, **environ) == "of the TOML"
    assert key(**environ) is None


def test_white_space_around_a_key_does_not_count() -> None:
    assert key(RECORDER_MY_FEED_KEY=" k \n") == "k"
    assert key(FeedSettings(key_file=key_file("k\n"))) == "k"


def test_an_empty_key_is_none() -> None:
    assert key(RECORDER_MY_FEED_KEY="") is None
    assert key(RECORDER_MY_FEED_KEY=" ") is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_file_that_others_can_read_is_refused(mode: int) -> None:
    path = key_file(SECRET, mode)
    with pytest.raises(CredentialsError, match=f"mode 0{mode:o}") as caught:
        key(FeedSettings(key_file=path))
    assert caught.value.exit_code == 4
    assert caught.value.hint == "chmod 600 key"
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("prepare", "what"),
    [
        (lambda: Path("missing"), "No such file"),
        (Path.cwd, "Is a directory"),
        (lambda: key_file("  \n"), "is empty"),
        (lambda: key_file(f"{SECRET}\n{SECRET}"), "one line of text"),
    ],
)
def test_a_key_file_that_holds_no_key_is_refused(prepare, what: str) -> None:  # type: ignore[no-untyped-def]
    path = prepare()
    with pytest.raises(CredentialsError, match=what) as caught:
        key(FeedSettings(key_file=path))
    assert caught.value.where == str(path)
    assert SECRET not in str(caught.value)


def test_a_key_file_that_is_no_text_is_refused() -> None:
    Path("key").write_bytes(b"\xff\xfe")
    Path("key").chmod(0o600)
    with pytest.raises(CredentialsError, match="not UTF-8"):
        key(RECORDER_MY_FEED_KEY_FILE="key")


def test_a_key_with_line_breaks_never_becomes_a_header() -> None:
    with pytest.raises(CredentialsError) as caught:
        key(RECORDER_MY_FEED_KEY="a\r\nX-Evil: 1")
    assert caught.value.where == "RECORDER_MY_FEED_KEY"


def test_a_missing_key_names_the_variable_to_set() -> None:
    settings = load(written("[feeds.my-listings]\nkind = 'cryptolisting'\n"))
    with pytest.raises(CredentialsError, match="needs a key") as caught:
        sources(settings, {"my-listings": None})
    assert caught.value.exit_code == 4
    assert caught.value.where == "feeds.my-listings"
    assert "RECORDER_MY_LISTINGS_KEY" in caught.value.hint


def test_reply_patterns_that_do_not_go_together_are_refused() -> None:
    rules = r"""'"ping":(?P<n>\d+)' = 'x'
'"hello":(?P<n>\d+)' = 'y'
"""
    text = f"[feeds.x]\nkind = 'generic'\nurl = 'wss://x'\n[feeds.x.reply]\n{rules}"
    with pytest.raises(ConfigError, match="do not go together") as caught:
        sources(load(written(text)), {"x": None})
    assert caught.value.where == "feeds.x.reply"


def test_what_is_polled_at_an_endpoint_of_the_user_s_needs_an_address() -> None:
    text = "[feeds.binance]\nurl = 'wss://proxy.example'\nchannels = ['btcusdt@openInterest']\n"
    with pytest.raises(ConfigError, match="btcusdt@openInterest is polled") as caught:
        sources(load(written(text)), {"binance": None})
    assert caught.value.where == "feeds.binance"
    [source] = sources(
        load(written(text + "rest_url = 'https://proxy.example'\n")), {"binance": None}
    )
    assert [plan.group for plan in source.plans] == ["open interest"]


# -- secrets


def test_no_secret_is_in_any_representation() -> None:
    file = written(
        f'[feeds.x]\nkind = "generic"\nkey = "{SECRET}"\nproxy = "http://u:{SECRET}@proxy"\n'
        f'url = "wss://u:{SECRET}@h/?token={SECRET}"\nheaders = {{ A = "{SECRET}" }}\n'
        f'query = {{ token = "{SECRET}" }}\nsubscribe = ["{SECRET}"]\n'
    )
    settings = load(file)
    for thing in (settings, settings.feeds, settings.feeds["x"], sources(settings, {"x": SECRET})):
        assert SECRET not in repr(thing)
        assert SECRET not in str(thing)


@pytest.mark.parametrize(
    "line",
    [
        f'key = ["{SECRET}"]',
        f'key = "{SECRET}"\nkey = "{SECRET}"',
        f'key = "{SECRET}',
        f'headers = ["{SECRET}"]',
        f'headers = {{A = ["{SECRET}"]}}',
        f'url = "http://{SECRET}"',
        f'query = "{SECRET}"',
        f'proxy = ["{SECRET}"]',
        f'subscribe = "{SECRET}"',
        f'lines = "{SECRET}"',
    ],
)
def test_no_error_shows_the_value(line: str) -> None:
    error = refused(f"[feeds.x]\n{line}")
    assert SECRET not in str(error) + repr(error) + error.hint
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_the_settings_cannot_be_changed() -> None:
    settings = load(None)
    with pytest.raises(ValueError, match="frozen"):
        settings.data_dir = Path("x")
    assert isinstance(settings, Settings)
