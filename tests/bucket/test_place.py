"""A bucket's URL is understood, or refused without being repeated: a key may be in it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import ConfigError
from recorder.settings.config import load
from recorder.settings.place import place

SECRET = "wJalrXUtnFEMI"


@pytest.mark.parametrize(
    ("url", "root", "again"),
    [
        ("s3://bucket", "bucket", "s3://bucket"),
        ("s3://bucket/", "bucket", "s3://bucket"),
        ("s3://bucket/a/b/", "bucket/a/b", "s3://bucket/a/b"),
        ("file:///srv/nfs", "/srv/nfs", "file:///srv/nfs"),
        ("file:///a%20place", "/a place", "file:///a%20place"),
    ],
)
def test_a_url_names_a_bucket_or_a_directory(url: str, root: str, again: str) -> None:
    found = place(url)
    assert (found.root, found.url) == (root, again)


@pytest.mark.parametrize(
    "url",
    [
        "bucket/prefix",
        "/srv/nfs",
        "https://bucket.s3.amazonaws.com",
        f"s3://AKIA:{SECRET}@bucket/prefix",
        f"s3://bucket/prefix?secret_key={SECRET}",
        f"s3://bucket/prefix#{SECRET}",
        "s3://",
        "s3:///prefix",
        "s3://localhost:8333/bucket",
        "s3://bucket/a//b",
        "s3://bucket/../other",
        "file://host/path",
        "file:///",
        "file:///srv/../etc",
        "s3://bucket/a b",
        "s3://bucket/a\nb",
        "s3://[bucket",
    ],
)
def test_anything_else_is_refused_and_not_repeated(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\w") as refused:
        place(url)
    assert SECRET not in str(refused.value)
    with pytest.raises(ConfigError) as error:
        load(None, raw_url=url)
    assert error.value.where == "--raw-url" and SECRET not in str(error.value)


@given(st.lists(st.text(min_size=1, max_size=8), max_size=4))
def test_the_url_of_a_place_names_the_same_place(parts: list[str]) -> None:
    path = Path("/x", *parts)
    try:
        found = place(path.as_uri())
    except ValueError:
        return  # control characters, dots
    assert place(found.url) == found


@given(st.text())
def test_no_text_is_a_surprise(text: str) -> None:
    with suppress(ValueError):
        place(text)
