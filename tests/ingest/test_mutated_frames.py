"""Whatever becomes of a real frame, normalising accounts for it and never raises."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit.effort import examples
from kit.frames import T0, frames_of, table

from recorder.feeds import KINDS, feed
from recorder.schema.tables import EVENT_TABLES, TABLES
from recorder.tables import carried_state, normalise

#: The frames of each feed with SQL: `FRAMES` of its `test_<feed>_rows.py`, one of each kind.
GOLDEN: dict[str, list[str]] = {
    kind: import_module(f"{__package__}.test_{kind}_rows").FRAMES
    for kind in KINDS
    if feed(kind).normalise
}
KEYS = sorted({key for g in GOLDEN.values() for text in g for key in re.findall(r'"(\w+)":', text)})
WORDS = ["", "0", "-1", "NaN", "1e400", "BTCUSDT", "SELL", "\0", "\ud800", "a.b", '"', "forceOrder"]
NUMBERS = [0, -1, 1e308, -0.0, float("nan"), float("inf"), 2**63, 10**40, T0, T0 // 10**6]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NUMBERS),
    st.integers(),
    st.floats(),
    st.sampled_from(WORDS),
    st.text(max_size=8),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=3)), inner, max_size=3),
    ),
    max_leaves=6,
)


def containers(value: Any) -> Iterator[dict[str, Any] | list[Any]]:
    """A JSON value's objects and arrays that are not empty, itself included."""
    if isinstance(value, dict | list) and value:
        yield value
        for child in list(value.values()) if isinstance(value, dict) else value:
            yield from containers(child)


@st.composite
def changed(draw: st.DrawFn, feed: str) -> bytes:
    """A real frame with some of its fields changed, removed or added, then perhaps its bytes."""
    value = json.loads(draw(st.sampled_from(GOLDEN[feed])))
    for _ in range(draw(st.integers(0, 3))):
        whole = list(containers(value))
        if not whole:
            break
        place = draw(st.sampled_from(whole))
        key: Any = draw(
            st.sampled_from(list(place) if isinstance(place, dict) else range(len(place)))
        )
        match draw(st.sampled_from(["set", "remove", "add", "copy"])):
            case "set":
                place[key] = draw(values)
            case "remove":
                del place[key]
            case "add" if isinstance(place, dict):
                place[draw(st.sampled_from([*KEYS, "payload", "data", "timestamp"]))] = draw(values)
            case "copy":
                value = {"data": value, "payload": copy.deepcopy(value), "type": draw(scalars)}
            case _:
                place.append(draw(values))
    payload = json.dumps(value, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(payload)))
        payload = (
            payload[:at] + draw(st.binary(max_size=4)) + payload[at + draw(st.integers(0, 3)) :]
        )
    return payload


@pytest.fixture(scope="module")
def tables() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as db:
        for made in TABLES.values():
            db.execute(made.ddl)
        db.execute(carried_state.STATE)
        normalise.prepare(db)
        yield db


#: Feeds whose answers repeat what others told: of many, most make no row. Each is tried by itself.
REPEATING = {"notices"}


@pytest.mark.parametrize("feed", GOLDEN)
def test_every_changed_frame_is_in_a_table_or_control_or_in_rejects_once(
    tables: duckdb.DuckDBPyConnection, feed: str
) -> None:
    normaliser = normalise.load(feed)

    fewest, most, tries = (1, 1, 200) if feed in REPEATING else (20, 60, 25)

    @given(st.lists(changed(feed), min_size=fewest, max_size=most))
    @settings(
        max_examples=examples(tries), deadline=None, database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example,
                               HealthCheck.data_too_large],
    )  # fmt: skip
    def check(payloads: list[bytes]) -> None:
        tables.execute("BEGIN")
        try:
            tables.register("fresh", table(frames_of(payloads)))
            tables.register("batch", table(frames_of(payloads)))
            # The least threshold: every trade that can be read is a whale's.
            normalise.apply(tables, normaliser, feed, whale_usd=-1e308)
            assert unaccounted(tables, payloads) == []
            assert sharing(tables) == []
        finally:
            tables.execute("ROLLBACK")

    check()


def unaccounted(db: duckdb.DuckDBPyConnection, payloads: list[bytes]) -> list[tuple[Any, ...]]:
    """Frames that are lost, or rejected too often, or without a reason."""
    kept = (*EVENT_TABLES, "prices", "latency")
    rows = " UNION ALL ".join(f"SELECT seq FROM {name}" for name in kept)
    found = db.execute(
        f"""
        SELECT m.id.seq, m.class, r.times, r.reasons, f.payload
        FROM messages AS m
        JOIN frames AS f ON f.id = m.id
        LEFT JOIN (
            SELECT seq, count(*) AS times, list(reason) AS reasons FROM rejects GROUP BY seq
        ) AS r ON r.seq = m.id.seq
        WHERE CASE
            WHEN m.class IS NULL THEN coalesce(r.times, 0) <> 1 OR r.reasons[1] IS NULL
            WHEN m.class = 'control' THEN r.times IS NOT NULL
            ELSE coalesce(r.times, 0) > 1
                OR (r.times IS NULL AND m.id.seq NOT IN (SELECT seq FROM ({rows})))
        END
        """
    ).fetchall()
    count = db.execute("SELECT count(*) FROM messages").fetchone()
    assert count == (len(payloads),)
    return [row for row in found if not _small_coin_trade(row[-1])]


def sharing(db: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    """Places that several rows of a table share: they would have no order."""
    each = " UNION ALL ".join(
        f"SELECT '{name}', seq, item FROM {name} GROUP BY ALL HAVING count(*) > 1"
        for name in (*EVENT_TABLES, "prices", "latency", "rejects")
    )
    return db.execute(each).fetchall()


def _small_coin_trade(payload: bytes) -> bool:
    """A trade whose value is unknown, such as one in contracts, is nobody's row by design."""
    return b"aggTrade" in payload
