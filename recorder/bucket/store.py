"""A bucket of sealed files, on S3 or in a directory; its errors are the recorder's own.

Writes are atomic: an S3 put makes a whole object or none, and in a directory (`file://`) a complete
file is renamed into place. No object is ever overwritten.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, cast

from pyarrow import fs

from recorder import durable
from recorder.bucket import refusal
from recorder.bucket.reader import ObjectReader
from recorder.errors import ConfigError, StoreError
from recorder.frame import FEED_NAME
from recorder.record.stem import is_stem, sealed_name
from recorder.settings.place import place

_PART = 4 << 20

#: Timeouts in s: short for connecting to an endpoint, long for a slow answer.
_CONNECT, _ANSWER = 5, 60
_ATTEMPTS = 3

#: The object that `check_writable` writes and removes.
_PROBE = ".recorder-probe"

_HEAD = re.compile(r"heads/([^/]+)/([0-9A-Za-z-]{1,64})/([0-9]{12})\.jsonl")


@dataclass(frozen=True, slots=True)
class BucketListing:
    """The objects of a bucket: sizes in bytes by feed and stem, and the names of other objects."""

    objects: dict[str, dict[str, int]] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)
    heads: dict[str, dict[str, dict[int, int]]] = field(default_factory=dict)
    """The sizes in bytes of parts of heads, by feed, name and offset."""

    def put(self, name: str, size: int) -> None:
        """Add an object by its name below the root."""
        parsed, head = read_name(name), _HEAD.fullmatch(name)
        if head is not None and FEED_NAME.fullmatch(head[1]):
            self.heads.setdefault(head[1], {}).setdefault(head[2], {})[int(head[3])] = size
        elif parsed is None:
            self.foreign.append(name)
        else:
            self.objects.setdefault(parsed[0], {})[parsed[1]] = size


def head_name(feed: str, name: str, offset: int) -> str:
    """Return the name below the root of the part of a head that begins at byte `offset`."""
    return f"heads/{feed}/{name}/{offset:012d}.jsonl"


def read_name(name: str) -> tuple[str, str] | None:
    """Return the feed and stem of an object's name; None if `sealed_name` cannot return it."""
    parts = name.split("/")
    if len(parts) != 3 or not name.endswith(".parquet"):
        return None
    feed, stem = parts[0].removeprefix("feed="), parts[2].removesuffix(".parquet")
    ours = FEED_NAME.fullmatch(feed) and is_stem(stem) and sealed_name(feed, stem) == name
    return (feed, stem) if ours else None


class Store:
    """A bucket at `url`; endpoint, region and keys come from the environment's AWS variables.

    All methods raise a StoreError or a CredentialsError if the store fails or refuses.

    Raises:
        ConfigError: the URL is not that of a bucket.
    """

    def __init__(
        self, url: str, environment: Mapping[str, str] | None = None, *, attempts: int = _ATTEMPTS
    ) -> None:
        try:
            self._place = place(url)
        except ValueError as error:
            raise ConfigError(str(error), where="raw_url") from None
        variables = os.environ if environment is None else environment
        with refusal.translated(self._place.url):
            local = self._place.scheme == "file"
            self._fs: Any = fs.LocalFileSystem() if local else _s3(variables, attempts)

    @property
    def url(self) -> str:
        """The bucket's URL, without secrets."""
        return self._place.url

    @property
    def filesystem(self) -> Any:
        """The pyarrow file system of its objects."""
        return self._fs

    def path(self, feed: str, stem: str) -> str:
        """Return an object's path in `filesystem`."""
        return f"{self._place.root}/{sealed_name(feed, stem)}"

    def where(self, feed: str, stem: str) -> str:
        """Return an object's URL."""
        return f"{self.url}/{sealed_name(feed, stem)}"

    # -- access

    def check(self) -> None:
        """Check that the bucket exists and can be read."""
        self._check_directory()
        self._infos(self._place.root, recursive=False)

    def check_writable(self, *, removing: bool = False) -> None:
        """Check that the bucket accepts objects: write, read and remove one.

        With `removing`, fail if the key may not remove objects; a recorder does not need that.
        """
        self._check_directory()
        path = f"{self._place.root}/{_PROBE}"
        try:
            with refusal.translated(self.url), self._fs.open_output_stream(path) as stream:
                stream.write(b"probe")
        except StoreError as error:
            if error.denied:
                self.check()  # raises if the bucket is not even readable
                raise refusal.read_only(self.url) from None
            raise
        with refusal.translated(self.url):
            self._fs.open_input_stream(path).close()
        try:
            with suppress(FileNotFoundError), refusal.translated(self.url):
                self._fs.delete_file(path)
        except StoreError:
            if removing:
                raise

    def _check_directory(self) -> None:
        # A missing directory may be one that is not mounted, so it is not created.
        if self._place.scheme == "file" and not Path(self._place.root).is_dir():
            raise refusal.no_bucket(self.url)

    # -- listing

    def listing(self, feed: str | None = None) -> BucketListing:
        """Return the objects of the bucket, or those of one feed."""
        self._check_directory()
        root = self._place.root
        listing = BucketListing()
        for info in self._infos(root if feed is None else f"{root}/feed={feed}", recursive=True):
            name = info.path[len(root) + 1 :]
            if info.type == fs.FileType.File and name != _PROBE:
                listing.put(name, info.size)
        return listing

    def _infos(self, path: str, *, recursive: bool) -> list[Any]:
        """Return the file infos below a path; an empty list if the path does not exist."""
        with refusal.translated(self.url):
            selector = fs.FileSelector(path, recursive=recursive, allow_not_found=True)
            infos = self._fs.get_file_info(selector)
        if not infos and self._place.scheme == "s3":
            self._check_bucket()
        return list(infos)

    def _check_bucket(self) -> None:
        """Raise a StoreError if the bucket does not exist: it lists like an empty prefix."""
        try:
            with refusal.translated(self.url):
                info = self._fs.get_file_info(self._place.root.partition("/")[0])
        except StoreError as error:
            if error.denied:
                return  # a key that is limited to a prefix may not ask for the bucket
            raise
        if info.type == fs.FileType.NotFound:
            raise refusal.no_bucket(self.url)

    def size(self, feed: str, stem: str) -> int | None:
        """Return an object's size in bytes, or None if there is no such object."""
        self._check_directory()
        with refusal.translated(self.url):
            info = self._fs.get_file_info(self.path(feed, stem))
        return int(info.size) if info.type == fs.FileType.File else None

    # -- contents

    def put(self, feed: str, stem: str, data: bytes) -> None:
        """Write an object. The caller has checked that there is none of this name."""
        self._write(self.path(feed, stem), data)

    def _write(self, path: str, data: bytes) -> None:
        self._check_directory()
        if self._place.scheme == "file":
            with refusal.translated(self.url):
                _write(Path(path), data)
            return
        with refusal.translated(self.url), self._fs.open_output_stream(path) as stream:
            stream.write(data)

    def put_head(self, feed: str, name: str, offset: int, data: bytes) -> None:
        """Write the part of a head from byte `offset` on."""
        self._write(f"{self._place.root}/{head_name(feed, name, offset)}", data)

    def head(self, feed: str, name: str, offset: int) -> bytes:
        """Return the part of a head from byte `offset` on.

        Raises:
            FileNotFoundError: the object is gone.
        """
        path = f"{self._place.root}/{head_name(feed, name, offset)}"
        with refusal.translated(self.url), self._fs.open_input_stream(path) as stream:
            return bytes(stream.read())

    def parts(self, feed: str, stem: str) -> Iterator[bytes]:
        """Yield an object's bytes in parts.

        Raises:
            FileNotFoundError: the object is gone.
        """
        self._check_directory()
        with (
            refusal.translated(self.url),
            self._fs.open_input_stream(self.path(feed, stem)) as stream,
        ):
            while part := stream.read(_PART):
                yield part

    def digest(self, feed: str, stem: str) -> str:
        """Read an object and return the BLAKE2b digest of its bytes, in hex."""
        digest = blake2b()
        for part in self.parts(feed, stem):
            digest.update(part)
        return digest.hexdigest()

    def open(self, feed: str, stem: str) -> BinaryIO:
        """Return a file object over an object that fetches only the parts that are read.

        Raises:
            FileNotFoundError: the object is gone.
        """
        self._check_directory()
        with refusal.translated(self.url):
            file = self._fs.open_input_file(self.path(feed, stem))
        # It has the methods of a BinaryIO that readers of Parquet need.
        return cast(BinaryIO, ObjectReader(file, self.where(feed, stem), self.url))

    def get(self, feed: str, stem: str, target: Path) -> None:
        """Fetch an object into the file `target`, which appears only when it is complete.

        Raises:
            FileNotFoundError: the object is gone.
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
        """Remove an object if it exists."""
        with refusal.translated(self.url), suppress(FileNotFoundError):
            self._fs.delete_file(self.path(feed, stem))


def _s3(variables: Mapping[str, str], attempts: int) -> Any:
    """Return an S3 file system set up by the AWS variables; TLS is verified except with http://."""
    endpoint = variables.get("AWS_ENDPOINT_URL_S3") or variables.get("AWS_ENDPOINT_URL")
    options = {
        "endpoint_override": endpoint,
        "region": variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION"),
    }
    if variables.get("AWS_ACCESS_KEY_ID") and variables.get("AWS_SECRET_ACCESS_KEY"):
        options["access_key"] = variables["AWS_ACCESS_KEY_ID"]
        options["secret_key"] = variables["AWS_SECRET_ACCESS_KEY"]
        options["session_token"] = variables.get("AWS_SESSION_TOKEN")
    return fs.S3FileSystem(
        **{name: value for name, value in options.items() if value},
        connect_timeout=_CONNECT,
        request_timeout=_ANSWER,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=attempts),
        allow_delayed_open=True,  # put a small object with a single request
    )


def _write(path: Path, data: bytes) -> None:
    durable.make_directory(path.parent)
    # One name: what a killed upload left is written again by the next one.
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        temporary.write_bytes(data)
        durable.publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
