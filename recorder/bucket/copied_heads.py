"""Heads in a bucket: copies of what runs have sealed, so that any machine can verify the bucket.

    heads/<feed>/<name>/<offset>.jsonl

A name is a run, or `pruned-…` for a file of removals. A head grows, and no object is ever
overwritten: each upload adds an object with the lines from byte `<offset>` on.
"""

from __future__ import annotations

from collections.abc import Mapping

from recorder.bucket.store import Store
from recorder.record import heads
from recorder.record.layout import Layout


def upload(layout: Layout, store: Store) -> None:
    """Add to the bucket what the heads of a data directory have more than it.

    Raises:
        StoreError, CredentialsError: the bucket is unavailable or refuses.
    """
    there = store.listing().heads
    for feed in heads.feeds(layout):
        for name, data in heads.copies(layout, feed).items():
            sent = size_of(there.get(feed, {}).get(name, {}))
            if len(data) > sent:
                store.put_head(feed, name, sent, data[sent:])


def size_of(parts: Mapping[int, int]) -> int:
    """Return how many bytes the parts have without a hole; `parts` has sizes by offset."""
    size = 0
    while (more := parts.get(size, 0)) > 0:
        size += more
    return size


def read(store: Store, feed: str, parts: Mapping[str, Mapping[int, int]]) -> dict[str, bytes]:
    """Return a feed's heads in the bucket, by name; `parts` are those of its listing.

    Raises:
        StoreError, CredentialsError: the bucket is unavailable or refuses.
    """
    whole = {}
    for name, offsets in parts.items():
        data = b""
        while offsets.get(len(data), 0) > 0:
            data += store.head(feed, name, len(data))
        whole[name] = data
    return whole
