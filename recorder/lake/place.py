"""Where a lake is: a folder, or a bucket's, for Delta and for Parquet files alike.

Endpoint, region and keys are the environment's AWS variables, in each process that works here.
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
    path: str  # `bucket/prefix`, or an absolute path; as `files` spells it

    @classmethod
    def of(cls, url: str, where: str = "--tables-url") -> Place:
        """The place that a user names: a path, `file:///path` or `s3://bucket/prefix`.

        Raises:
            ConfigError: it is none of these; `where` says who named it.
        """
        try:
            found = place(url if "://" in url else Path(url).absolute().as_uri())
        except ValueError as error:
            raise ConfigError(str(error), where=where) from None
        return cls(found.scheme, found.root)

    @property
    def url(self) -> str:
        """The place for messages; no secret is in it."""
        return f"{self.scheme}://{self.path}"

    @property
    def uri(self) -> str:
        """The place as Delta spells it."""
        return self.path if self.scheme == "file" else self.url

    @property
    def remote(self) -> bool:
        """True for a bucket."""
        return self.scheme != "file"

    def __truediv__(self, name: str) -> Place:
        return Place(self.scheme, f"{self.path}/{name}")

    def store(self) -> Store:
        """The place as a bucket.

        Raises:
            StoreError, CredentialsError: it cannot be had.
        """
        return Store(Path(self.path).as_uri() if self.scheme == "file" else self.url)

    @property
    def files(self) -> Any:
        """The file system, of pyarrow, that holds the place."""
        return self.store().filesystem

    @property
    def options(self) -> dict[str, str] | None:
        """What Delta has to know of the store; keys it takes from the environment itself."""
        if not self.remote:
            return None
        found = {"aws_conditional_put": "etag"}
        if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
            found["AWS_ENDPOINT_URL"] = endpoint
            found["AWS_ALLOW_HTTP"] = str(endpoint.startswith("http://")).lower()
        if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
            found["AWS_REGION"] = region
        return found

    def check(self) -> None:
        """Find out that it can be written; a folder that is not there is made.

        Raises:
            StoreError, CredentialsError: what refuses.
        """
        if not self.remote:
            Path(self.path).mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another one's check took the trial away
            self.store().check_writable()
