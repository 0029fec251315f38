"""A frame: one message, or one marker that we wrote, with its receive timestamp."""

from __future__ import annotations

import re
from typing import NamedTuple

#: A feed's name becomes the name of a directory.
FEED_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

TEXT = 1
BINARY = 2
SENT = 3
POLLED = 4
OPEN = 16
CLOSED = 17
STATS = 18
GAP = 19
INSTRUMENTS = 20
ANSWER = 21

#: The code of a kind in the journal, and its name in Parquet and the tables.
KINDS: dict[int, str] = {
    TEXT: "text",  # received, opcode 1
    BINARY: "binary",  # received, opcode 2
    SENT: "sent",  # sent by us, redacted
    POLLED: "polled",  # received, the body of an answer to a request over HTTP
    OPEN: "open",  # marker: handshake done
    CLOSED: "closed",  # marker: connection ended, or an attempt failed
    STATS: "stats",  # marker: the status of the connection and of the recorder
    GAP: "gap",  # marker: frames that could not be written
    INSTRUMENTS: "instruments",  # marker: the venue's list of instruments, as we understood it
    ANSWER: "answer",  # marker: an answer over HTTP; its body follows unless it is unchanged
}

#: The kinds of what a service sent.
DATA = ("text", "binary", "polled")


class Frame(NamedTuple):
    """One row of the raw record."""

    recv_ns: int  # wall clock, ns since epoch UTC, when the last bytes left the socket
    mono_ns: int  # monotonic clock, same instant
    seq: int  # number on its connection, from 0, no holes
    connection: str  # sortable id of the connection
    kind: str  # a value of KINDS
    payload: bytes  # exact bytes; markers hold JSON
