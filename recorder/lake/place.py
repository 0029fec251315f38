"""The place of a lake: a local folder or a bucket's, for Delta and for Parquet files alike.

Each process takes endpoint, region and keys from the AWS variables of its environment.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recorder.bucket.store import Store
from recorder.errors import ConfigError
from recorder.settings.place import place


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that holds tables."""

    scheme: str  # s3 or file
    path: str  # `bucket/prefix`, or an absolute path, as the file system in `files` spells it

    @classmethod
    def of(cls, url: str, where: str = "--tables-url") -> Place:
        """Return the place that a user names: a path, `file:///path` or `s3://bucket/prefix`.

        Raises:
            ConfigError: the text is not one of these; `where` is the option that it is from.
        """
        try:
            parsed = place(url if "://" in url else Path(url).absolute().as_uri())
        except ValueError as error:
            raise ConfigError(str(error), where=where) from None
        return cls(parsed.scheme, parsed.root)

    @property
    def url(self) -> str:
        """The place for messages, without secrets."""
        return f"{self.scheme}://{self.path}"

    @property
    def uri(self) -> str:
        """The place as Delta spells it."""
        return self.path if self.scheme == "file" else self.url

    @property
    def remote(self) -> bool:
        """Whether the place is in a bucket."""
        return self.scheme != "file"

    def __truediv__(self, name: str) -> Place:
        return Place(self.scheme, f"{self.path}/{name}")

    def store(self) -> Store:
        """Open the place as a bucket.

        Raises:
            StoreError, CredentialsError: the place is unavailable.
        """
        return Store(Path(self.path).as_uri() if self.scheme == "file" else self.url)

    @property
    def files(self) -> Any:
        """The pyarrow file system that holds the place."""
        return self.store().filesystem

    @property
    def options(self) -> dict[str, str] | None:
        """The storage options for Delta, which takes keys from the environment itself."""
        if not self.remote:
            return None
        options = {"aws_conditional_put": "etag"}
        if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
            options["AWS_ENDPOINT_URL"] = endpoint
            options["AWS_ALLOW_HTTP"] = str(endpoint.startswith("http://")).lower()
        if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
            options["AWS_REGION"] = region
        return options

    def check(self) -> None:
        """Check that the place can be written; create a local folder that does not exist.

        Raises:
            StoreError, CredentialsError: the place cannot be written.
        """
        if not self.remote:
            Path(self.path).mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another process's check deleted the test object
            self.store().check_writable()
