"""One bucket: objects named as sealed files are, and what goes wrong there, named.

S3 puts are atomic: an object is there whole or not at all. In a directory (`file://`) a file gets
its name when it is whole. Nothing is ever written over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, cast

from pyarrow import fs

from recorder import durable
from recorder.bucket import refusal
from recorder.bucket.opened import Opened
from recorder.errors import ConfigError, StoreError
from recorder.feed import FEED_NAME
from recorder.record.layout import day_of, is_stem
from recorder.settings.place import place

_PART = 4 << 20

#: Seconds: an endpoint that is not there is known soon, and a slow one is waited for.
_CONNECT, _ANSWER = 5, 60
_ATTEMPTS = 3

#: What `check_writable` writes and takes away.
_PROBE = ".recorder-probe"


@dataclass(frozen=True, slots=True)
class Listing:
    """What a bucket holds: sizes by feed and stem, and the names of what is not ours."""

    objects: dict[str, dict[str, int]] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)

    def put(self, name: str, size: int) -> None:
        """Take in one object by its name below the root."""
        known = read_name(name)
        if known is None:
            self.foreign.append(name)
        else:
            self.objects.setdefault(known[0], {})[known[1]] = size


def name_of(feed: str, stem: str) -> str:
    """An object's name below the root: that of the sealed file below `raw/`."""
    return f"feed={feed}/date={day_of(stem)}/{stem}.parquet"


def read_name(name: str) -> tuple[str, str] | None:
    """Feed and stem of an object's name; None for a name that we would not have given."""
    parts = name.split("/")
    if len(parts) != 3 or not name.endswith(".parquet"):
        return None
    feed, stem = parts[0].removeprefix("feed="), parts[2].removesuffix(".parquet")
    ours = FEED_NAME.fullmatch(feed) and is_stem(stem) and name_of(feed, stem) == name
    return (feed, stem) if ours else None


class Store:
    """A bucket at `url`; endpoint, region and keys are the environment's AWS variables.

    All methods raise a StoreError, or a CredentialsError, that says what refused.

    Raises:
        ConfigError: the URL names no bucket.
    """

    def __init__(
        self, url: str, environment: Mapping[str, str] | None = None, *, attempts: int = _ATTEMPTS
    ) -> None:
        try:
            self._place = place(url)
        except ValueError as error:
            raise ConfigError(str(error), where="raw_url") from None
        variables = os.environ if environment is None else environment
        with refusal.named(self._place.url):
            local = self._place.scheme == "file"
            self._fs: Any = fs.LocalFileSystem() if local else _s3(variables, attempts)

    @property
    def url(self) -> str:
        """Where it is; no secret is in it."""
        return self._place.url

    @property
    def filesystem(self) -> Any:
        """What pyarrow reads its objects with."""
        return self._fs

    def path(self, feed: str, stem: str) -> str:
        """An object's path in `filesystem`."""
        return f"{self._place.root}/{name_of(feed, stem)}"

    def where(self, feed: str, stem: str) -> str:
        """An object's URL."""
        return f"{self.url}/{name_of(feed, stem)}"

    # -- is it there, and ours to write

    def check(self) -> None:
        """Find out that it can be read."""
        self._exists()
        self._found(self._place.root, recursive=False)

    def check_writable(self, *, removing: bool = False) -> None:
        """Find out that it takes objects: one is written, read and taken away.

        A key that may not remove objects is a good one for a recorder, unless `removing`.
        """
        self._exists()
        path = f"{self._place.root}/{_PROBE}"
        try:
            with refusal.named(self.url), self._fs.open_output_stream(path) as stream:
                stream.write(b"probe")
        except StoreError as error:
            if error.denied:
                self.check()  # not even readable: that is said instead
                raise refusal.read_only(self.url) from None
            raise
        with refusal.named(self.url):
            self._fs.open_input_stream(path).close()
        try:
            with suppress(FileNotFoundError), refusal.named(self.url):
                self._fs.delete_file(path)
        except StoreError:
            if removing:
                raise

    def _exists(self) -> None:
        # A directory that is not there may be one that is not mounted: it is not made.
        if self._place.scheme == "file" and not Path(self._place.root).is_dir():
            raise refusal.no_bucket(self.url)

    # -- what is there

    def listing(self, feed: str | None = None) -> Listing:
        """Everything in it, or everything of one feed."""
        self._exists()
        root = self._place.root
        found = Listing()
        for info in self._found(root if feed is None else f"{root}/feed={feed}", recursive=True):
            name = info.path[len(root) + 1 :]
            if info.type == fs.FileType.File and name != _PROBE:
                found.put(name, info.size)
        return found

    def _found(self, path: str, *, recursive: bool) -> list[Any]:
        """What there is below a path; nothing where there is no such path in the bucket."""
        with refusal.named(self.url):
            selector = fs.FileSelector(path, recursive=recursive, allow_not_found=True)
            found = self._fs.get_file_info(selector)
        if not found and self._place.scheme == "s3":
            self._ask_for_the_bucket()
        return list(found)

    def _ask_for_the_bucket(self) -> None:
        """A prefix without objects and a bucket that is not there look alike."""
        try:
            with refusal.named(self.url):
                info = self._fs.get_file_info(self._place.root.partition("/")[0])
        except StoreError as error:
            if error.denied:
                return  # a key for a prefix alone may not ask that
            raise
        if info.type == fs.FileType.NotFound:
            raise refusal.no_bucket(self.url)

    def size(self, feed: str, stem: str) -> int | None:
        """An object's size; None: it is not there."""
        self._exists()
        with refusal.named(self.url):
            info = self._fs.get_file_info(self.path(feed, stem))
        return int(info.size) if info.type == fs.FileType.File else None

    # -- bytes

    def put(self, feed: str, stem: str, data: bytes) -> None:
        """Write an object whole. The caller knows that none has this name."""
        self._exists()
        if self._place.scheme == "file":
            with refusal.named(self.url):
                _write(Path(self.path(feed, stem)), data)
            return
        with (
            refusal.named(self.url),
            self._fs.open_output_stream(self.path(feed, stem)) as stream,
        ):
            stream.write(data)

    def parts(self, feed: str, stem: str) -> Iterator[bytes]:
        """An object's bytes from its beginning, in parts.

        Raises:
            FileNotFoundError: it is gone.
        """
        self._exists()
        with (
            refusal.named(self.url),
            self._fs.open_input_stream(self.path(feed, stem)) as stream,
        ):
            while part := stream.read(_PART):
                yield part

    def digest(self, feed: str, stem: str) -> str:
        """A digest of an object's bytes, read back."""
        read = blake2b()
        for part in self.parts(feed, stem):
            read.update(part)
        return read.hexdigest()

    def open(self, feed: str, stem: str) -> BinaryIO:
        """An object to look into, here and there; only what is looked at is fetched.

        Raises:
            FileNotFoundError: it is gone.
        """
        self._exists()
        with refusal.named(self.url):
            file = self._fs.open_input_file(self.path(feed, stem))
        # It can what readers of Parquet ask of a BinaryIO.
        return cast(BinaryIO, Opened(file, self.where(feed, stem), self.url))

    def get(self, feed: str, stem: str, target: Path) -> None:
        """Fetch an object whole; `target` is there when all its bytes are.

        Raises:
            FileNotFoundError: it is gone.
        """
        durable.make_directory(target.parent)
        temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                for part in self.parts(feed, stem):
                    file.write(part)
            temporary.rename(target)
        finally:
            temporary.unlink(missing_ok=True)

    def delete(self, feed: str, stem: str) -> None:
        """Remove an object for good, if it is there."""
        with refusal.named(self.url), suppress(FileNotFoundError):
            self._fs.delete_file(self.path(feed, stem))


def _s3(variables: Mapping[str, str], attempts: int) -> Any:
    """S3 as the AWS variables say; TLS is verified where the endpoint is not a http:// one."""
    endpoint = variables.get("AWS_ENDPOINT_URL_S3") or variables.get("AWS_ENDPOINT_URL")
    given = {
        "endpoint_override": endpoint,
        "region": variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION"),
    }
    if variables.get("AWS_ACCESS_KEY_ID") and variables.get("AWS_SECRET_ACCESS_KEY"):
        given["access_key"] = variables["AWS_ACCESS_KEY_ID"]
        given["secret_key"] = variables["AWS_SECRET_ACCESS_KEY"]
        given["session_token"] = variables.get("AWS_SESSION_TOKEN")
    return fs.S3FileSystem(
        **{name: value for name, value in given.items() if value},
        connect_timeout=_CONNECT,
        request_timeout=_ANSWER,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=attempts),
        allow_delayed_open=True,  # what fits into one request is put with one
    )


def _write(path: Path, data: bytes) -> None:
    durable.make_directory(path.parent)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        durable.publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
