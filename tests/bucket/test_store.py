"""A bucket, real: what it holds, and what it says when it refuses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.frames import RUN
from kit.seaweed import KEY, READ_SECRET, SECRET, Seaweed

from recorder.bucket.store import Store, read_name
from recorder.errors import ConfigError, CredentialsError, RecorderError, StoreError
from recorder.record.stem import sealed_name

from .conftest import Bucket

FEED, STEM = "binance", f"20260921T141320Z-{RUN}-000001"
DATA = bytes(range(256)) * 100


def test_an_object_comes_back_as_it_was_put(anywhere: Bucket, tmp_path: Path) -> None:
    store = anywhere.store
    assert store.size(FEED, STEM) is None and store.listing().objects == {}
    store.put(FEED, STEM, DATA)
    assert store.size(FEED, STEM) == len(DATA)
    assert store.listing().objects == {FEED: {STEM: len(DATA)}}
    assert store.listing(FEED).objects == {FEED: {STEM: len(DATA)}}
    assert store.listing("other").objects == {}
    assert b"".join(store.parts(FEED, STEM)) == DATA
    with store.open(FEED, STEM) as file:
        file.seek(-3, 2)
        assert file.read() == DATA[-3:] and str(file) == store.where(FEED, STEM)
    target = tmp_path / "deep" / "copy"
    store.get(FEED, STEM, target)
    assert target.read_bytes() == DATA and [*target.parent.iterdir()] == [target]
    store.delete(FEED, STEM)
    store.delete(FEED, STEM)  # once more is no error
    assert store.size(FEED, STEM) is None and store.listing().objects == {}


def test_a_large_object_is_there_whole(bucket: Bucket) -> None:
    data = DATA * 1000  # several parts
    bucket.store.put(FEED, STEM, data)
    assert b"".join(bucket.store.parts(FEED, STEM)) == data


def test_what_is_gone_is_a_missing_file(anywhere: Bucket, tmp_path: Path) -> None:
    for ask in (
        lambda: anywhere.store.open(FEED, STEM),
        lambda: anywhere.store.digest(FEED, STEM),
        lambda: anywhere.store.get(FEED, STEM, tmp_path / "copy"),
    ):
        with pytest.raises(FileNotFoundError):
            ask()


def test_names_that_we_would_not_have_given_are_foreign(anywhere: Bucket) -> None:
    store = anywhere.store
    store.put(FEED, STEM, DATA)
    root = store.path(FEED, STEM).removesuffix(f"/{sealed_name(FEED, STEM)}")
    foreign = [
        "readme.txt",
        f"feed={FEED}/date=2020-01-01/{STEM}.parquet",  # another day
        f"feed={FEED}/date=2026-09-21/copy of {STEM}.parquet",
        f"feed={FEED}/date=2026-09-21/{STEM}.parquet.123.tmp",
        f"feed=a b/date=2026-09-21/{STEM}.parquet",
        f"deeper/feed={FEED}/date=2026-09-21/{STEM}.parquet",
    ]
    for name in foreign:
        path = f"{root}/{name}"
        store.filesystem.create_dir(path.rpartition("/")[0])
        with store.filesystem.open_output_stream(path) as stream:
            stream.write(b"whatever")
    found = store.listing()
    assert found.objects == {FEED: {STEM: len(DATA)}}
    assert sorted(found.foreign) == sorted(foreign)


def test_a_name_is_read_as_it_was_given() -> None:
    assert read_name(sealed_name(FEED, STEM)) == (FEED, STEM)


@given(st.text())
def test_no_name_is_a_surprise(name: str) -> None:
    known = read_name(name)
    assert known is None or sealed_name(*known) == name


# -- refusals


def refused(store: Store) -> list[RecorderError]:
    """What a store says to being checked, listed and written to."""
    errors = []
    for ask in (
        store.check,
        store.check_writable,
        store.listing,
        lambda: store.put("f", STEM, b""),
    ):
        with pytest.raises((StoreError, CredentialsError)) as error:
            ask()
        errors.append(error.value)
    return errors


@pytest.mark.parametrize(
    "wrong", [{"AWS_SECRET_ACCESS_KEY": "not-the-secret"}, {"AWS_ACCESS_KEY_ID": "NOBODY"}]
)
def test_a_wrong_key_is_said_and_not_shown(bucket: Bucket, wrong: dict[str, str]) -> None:
    environment = bucket.environment | wrong
    for error in refused(Store(bucket.url, environment)):
        assert isinstance(error, CredentialsError) and error.exit_code == 4
        assert "key" in error.what and bucket.url in str(error)
        assert not any(environment[f"AWS_{n}"] in str(error) for n in ("SECRET_ACCESS_KEY",))
        assert environment["AWS_ACCESS_KEY_ID"] not in str(error)


def test_a_bucket_that_is_not_there_is_said(bucket: Bucket, tmp_path: Path) -> None:
    for url in ("s3://no-such-bucket/raw", (tmp_path / "nowhere").as_uri()):
        for error in refused(Store(url, bucket.environment)):
            assert error.what == "no such bucket" and error.where == url
    assert not (tmp_path / "nowhere").exists()


def test_a_read_only_bucket_is_said_before_anything_is_sent(bucket: Bucket) -> None:
    store = Store(bucket.url, bucket.read_only)
    store.check()
    with pytest.raises(StoreError, match="read-only") as error:
        store.check_writable()
    assert READ_SECRET not in str(error.value)
    bucket.store.check_writable(removing=True)
    assert bucket.store.listing().objects == {} and bucket.store.listing().foreign == []


def test_a_read_only_directory_is_said(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir(mode=0o555)
    (place / "x").exists()
    try:
        (place / "probe").write_bytes(b"")
    except PermissionError:
        with pytest.raises(StoreError, match="read-only"):
            Store(place.as_uri()).check_writable()
    else:
        pytest.skip("nothing is read-only for root")


def test_an_endpoint_that_does_not_answer_is_away(seaweed: Seaweed) -> None:
    environment = seaweed.environment | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    for error in refused(Store("s3://recorder/raw", environment, attempts=1)):
        assert isinstance(error, StoreError) and error.away
        assert KEY not in str(error) and SECRET not in str(error)


@contextmanager
def answering(code: str, status: int) -> Iterator[dict[str, str]]:
    """A service that refuses everything with one code."""
    body = f"<Error><Code>{code}</Code><Message>{KEY} {SECRET}</Message></Error>".encode()

    class Handler(BaseHTTPRequestHandler):
        def _refuse(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _refuse

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
                "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET,
            }
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.process
@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        ("RequestTimeTooSkewed", 403, "this machine's clock"),
        ("ExpiredToken", 400, "rejects the key"),
        ("InvalidToken", 400, "rejects the key"),
        ("SlowDown", 503, "cannot be reached"),
        ("InternalError", 500, "cannot be reached"),
        ("AccessDenied", 403, "denies access"),
        ("SomethingNew", 400, "answers with an error: SomethingNew"),
    ],
)
def test_what_a_service_refuses_is_named_and_its_text_is_not_repeated(
    code: str, status: int, says: str
) -> None:
    with answering(code, status) as environment:
        store = Store("s3://recorder/raw", environment, attempts=1)
        for ask in (store.listing, store.check_writable):
            with pytest.raises(RecorderError) as error:
                ask()
            assert says in str(error.value)
            assert KEY not in str(error.value) and SECRET not in str(error.value)


def test_a_wrong_url_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(ConfigError, match="bucket's URL"):
        Store("http://127.0.0.1:9/bucket")
