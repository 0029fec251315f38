"""The place of a bucket, parsed from its URL. Pure: nothing is opened."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

EXAMPLE = "s3://bucket/prefix, or file:///absolute/path"


class BucketPlace(NamedTuple):
    """A bucket, and the prefix of all its names."""

    scheme: str
    """`s3` or `file`."""
    root: str
    """`bucket/prefix`, or an absolute path; without a slash at the end."""

    @property
    def url(self) -> str:
        """The URL again, in its one form; it holds no secret."""
        return f"{self.scheme}://{quote(self.root) if self.scheme == 'file' else self.root}"


def place(url: str) -> BucketPlace:
    """Parse a bucket's URL.

    Raises:
        ValueError: not a bucket's URL. The text does not repeat the URL: it may contain a key.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"not a URL; one looks like {EXAMPLE}") from None
    if not url.isprintable() or " " in url or parts.scheme not in {"s3", "file"}:
        raise ValueError(f"not a bucket's URL; one looks like {EXAMPLE}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("keys, '?' and '#' do not belong into it: set the AWS_… variables")
    path = unquote(parts.path) if parts.scheme == "file" else parts.path
    path = path.rstrip("/")
    if any(part in {"", ".", ".."} for part in path.split("/")[1:]):
        raise ValueError("its path has empty parts, '.' or '..'")
    if parts.scheme == "file":
        if parts.netloc or not path:
            raise ValueError("file URLs look like file:///absolute/path")
        return BucketPlace("file", path)
    if not parts.netloc or ":" in parts.netloc:
        raise ValueError("s3 URLs look like s3://bucket/prefix; a host is set by AWS_ENDPOINT_URL")
    return BucketPlace("s3", parts.netloc + path)
