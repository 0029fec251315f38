"""A record of several captures with two lines each: trades, tickers that send changes, noise."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from recorder.clock import NS

from .journals import Writer, seal_all
from .records import Published

# A ticker that tells changes only: `whole` marks a whole state.
TICKERS = """
-- step: messages
SELECT *, 'event' AS class, NULL AS reason FROM frames;

-- step: told
SELECT
    id, fresh, json_extract_string(json, '$.s') AS symbol,
    coalesce(json_extract_string(json, '$.whole') = 'true', false) AS whole,
    num(json_extract_string(json, '$.rate')) AS rate,
    num(json_extract_string(json, '$.mark')) AS mark
FROM all_frames;

-- step: filled
SELECT
    *, last_value(mark IGNORE NULLS) OVER state AS known_mark
FROM (
    SELECT *, sum(whole::INTEGER) OVER (PARTITION BY id.connection, symbol ORDER BY id.seq) AS era
    FROM (
        FROM told
        UNION ALL BY NAME
        SELECT
            {'connection': connection, 'seq': seq} AS id, key AS symbol, false AS fresh,
            false AS whole, num(json_extract_string(state, '$.mark')) AS mark
        FROM carried WHERE name = 'ticker'
    )
)
WINDOW state AS (PARTITION BY id.connection, symbol, era ORDER BY id.seq);

-- state: ticker
SELECT id.connection, symbol AS key, id.seq, {'mark': known_mark} AS state FROM filled;

-- table: funding
SELECT id.*, 0 AS item, symbol, rate, known_mark AS mark_price
FROM filled WHERE fresh AND rate IS NOT NULL;
"""

FEED = "toy"
#: 2020-09-13 12:26:40 UTC: long ago by any machine's clock.
PAST = 1_600_000_000 * NS

SQL = (
    TICKERS.replace("AS state FROM filled", "AS state FROM filled WHERE symbol IS NOT NULL")
    + """
-- table: whales once (symbol, tx)
SELECT
    id.*, 0 AS item, json_extract_string(json, '$.s') AS symbol, 'trade' AS kind,
    json_extract_string(json, '$.id') AS tx, num(json_extract_string(json, '$.n')) AS quantity
FROM messages WHERE json_extract_string(json, '$.id') IS NOT NULL;
"""
)
#: The same, but a quantity is twice as large.
DOUBLED = SQL.replace("'$.n')) AS", "'$.n')) * 2 AS")
#: The same, but trades of one symbol are no events any more.
FEWER = SQL.replace(
    "'$.id') IS NOT NULL;", "'$.id') IS NOT NULL AND json_extract_string(json, '$.s') <> 'C';"
)

assert len({SQL, DOUBLED, FEWER}) == 3 and "symbol IS NOT NULL" in SQL


class Life:
    """A feed's record, written one capture after another."""

    def __init__(self, root: Path, seed: str = "life") -> None:
        self.record = Published(root)
        self.random = Random(seed)
        self.now = PAST
        self.number = 0
        self.begun: list[int] = []  # when each capture began
        self.sql = root / "toy.sql"
        root.mkdir(parents=True, exist_ok=True)
        self.sql.write_text(SQL)

    def capture(self, *, blocks: int = 60, pause: int = 120, ends: bool = True) -> None:
        """One run of capture, then a pause of so many seconds; `ends` False: it was killed."""
        self.begun.append(self.now)
        writer = Writer(self.record.layout.root, FEED, now=self.now, rotate_bytes=2_500)
        streams = {line: writer.open(line) for line in "AB"}
        for stream in streams.values():
            for symbol in "ABC":
                told = {"s": symbol, "whole": "true", "rate": 0.1, "mark": self.random.random()}
                writer.put(stream, json.dumps(told).encode())
        for _ in range(blocks):
            event = self._event()
            for line in self.random.sample("AB", self.random.choice([1, 2, 2, 2])):
                writer.put(streams[line], event)
            writer.now += self.random.choice([1, 1, 1, 4]) * NS
        for stream in streams.values() if ends else ():
            writer.close(stream, 1000, "stopping")
        writer.finish()
        self.now = writer.now + pause * NS

    def _event(self) -> bytes:
        self.number += 1
        match self.random.randrange(6):
            case 0:
                told: dict[str, object] = {"s": self.random.choice("ABC"), "mark": self.number}
            case 1:
                told = {"s": self.random.choice("ABC"), "rate": self.number / 1000}
            case 2:
                return b'{"op":"pong"}'
            case _:
                # An old trade comes again now and then: sent after a subscription, say.
                number = self.random.choice([self.number, self.number, self.number - 20])
                told = {"s": "ABC"[number % 3], "id": f"t{number}", "n": number}
        return json.dumps(told).encode()

    def seal(self) -> None:
        """Seal every finished journal."""
        seal_all(self.record.layout)

    def ingest(self) -> int:
        """Ingest and publish with the SQL of now."""
        return self.record.ingest(sql=self.sql)


def lived(root: Path, captures: int = 4, pause: int = 120) -> Life:
    """A sealed and ingested record of some captures."""
    life = Life(root)
    for _ in range(captures):
        life.capture(pause=pause)
    life.seal()
    life.ingest()
    return life
