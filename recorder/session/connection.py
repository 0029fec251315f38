"""One WebSocket connection that stamps and records what it receives, before anything else.

The receive timestamp is taken in `data_received`, the first Python code that runs after the
bytes left the socket; a stamp taken after `recv()` waits behind the application. All messages
that one read completed share it, and go to the journal as one block.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import re
import socket
import struct
import sys
import termios
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN, Event

from recorder import frame
from recorder.clock import NS, Clock
from recorder.coding import opening
from recorder.record.journal.block import RECORD, Buffer
from recorder.record.journal.writer import Journal, Stream
from recorder.session.bounds import Usage

#: Bytes of a service's answer to our ping, at most.
_LONGEST_ANSWER = 200

TEXT, BINARY, CONT = Opcode.TEXT, Opcode.BINARY, Opcode.CONT
PING, PONG = Opcode.PING, Opcode.PONG

#: At DEBUG this logger prints headers, URLs and messages, keys included.
logging.getLogger("websockets").setLevel(logging.INFO)


class Tape:
    """The frames and markers of one connection on their way to the journal, with their counts."""

    def __init__(
        self,
        journal: Journal,
        connection: str,
        clock: Clock,
        answer: re.Pattern[bytes] | None = None,
        coding: str | None = None,
    ) -> None:
        self._journal, self.clock, self._answer, self._coding = journal, clock, answer, coding
        self.stream = Stream(connection)
        self.recv_ns = 0  # wall-clock stamp of the current read
        self.mono_ns = 0
        self.heard_ns = 0  # monotonic: the last byte
        self.data_ns = 0  # monotonic: the last data frame
        self.frames = 0
        self.bytes = 0
        self._records: list[Buffer] = []
        self._size = 0
        self._reading = False
        self._data = False  # the current read brought more than answers to our pings

    def stamp(self) -> None:
        """Take the receive timestamp of the current read."""
        self._reading = True
        self.recv_ns, self.mono_ns = self.clock.wall_ns(), self.clock.mono_ns()
        self.heard_ns = self.mono_ns

    def add(self, kind: int, payload: Buffer) -> None:
        """Buffer one message that the current read completed."""
        length = len(payload)
        self._records += (RECORD.pack(kind, length), payload)
        self._size += length
        self.frames += 1
        if not self._data and not self._answers(payload, length):
            self._data = True

    def _answers(self, payload: Buffer, length: int) -> bool:
        """Return True for a service's answer to our ping, or its own ping."""
        answer = self._answer
        if answer is None or length > _LONGEST_ANSWER:
            return False
        if self._coding is not None:
            payload = opening(self._coding, bytes(payload), _LONGEST_ANSWER)
        return answer.search(payload) is not None

    def flush(self) -> None:
        """Write the buffered messages of the current read to the journal, as one block."""
        self._reading = False
        if self._records:
            records, self._records = self._records, []
            size, self._size = self._size, 0
            if self._data:
                self._data = False
                self.data_ns = self.mono_ns
            self.bytes += size
            self._journal.write(self.stream, self.recv_ns, self.mono_ns, records, size)

    def mark(self, kind: int, payload: bytes) -> None:
        """Record a marker or a sent message; during a read, in order with its messages."""
        if self._reading:
            self._records += (RECORD.pack(kind, len(payload)), payload)
        else:
            self._journal.mark(self.stream, kind, payload)


class RecordingConnection(ClientConnection):
    """A client connection that puts every data frame on its tape and keeps none.

    `opened` is called once, after a successful handshake and before the first frame is
    recorded. `look(payload)`, if given, sees each complete message.
    """

    def __init__(
        self,
        *arguments: Any,
        tape: Tape,
        opened: Callable[[], None],
        look: Callable[[Buffer], None] | None,
        usage: Usage,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._tape, self._opened, self._look, self._usage = tape, opened, look, usage
        self.broken = ""
        """The bound that the peer broke and that ended this connection; empty: none."""
        self._fragments: bytearray | None = None
        self._opcode = TEXT
        self._failed = False
        self._ping_sent_ns: int | None = None
        self._ping_rtt: float | None = None

    def data_received(self, data: bytes) -> None:
        """Stamp the read, parse it, then write the messages that it completed."""
        tape = self._tape
        tape.stamp()
        super().data_received(data)
        tape.flush()
        fragments = self._fragments
        partial = len(self.protocol.reader.buffer) + (len(fragments) if fragments else 0)
        unsent = self.transport.get_write_buffer_size()
        in_message = fragments is not None
        self._end_if(self._usage.read(tape.mono_ns, partial, unsent, in_message=in_message))

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the memory that counts against the shared bound."""
        self._usage.release()
        self._fragments = None
        super().connection_lost(exc)

    def _end_if(self, broken: str) -> None:
        """Abort the connection if the peer broke a bound: it might not read a close frame."""
        if broken and not self.broken:
            self.broken = broken
            self.transport.abort()

    def process_event(self, event: Event) -> None:
        """Record data frames directly from the parser, without the queue of `recv()`."""
        if event.__class__ is Frame:
            self._process_frame(event)
            return
        super().process_event(event)  # the handshake's response
        # Not `state is OPEN`: a close frame may have arrived in the same read.
        if isinstance(event, Response) and self.protocol.handshake_exc is None:
            self._opened()

    def _process_frame(self, event: Frame) -> None:
        opcode = event.opcode
        if opcode is TEXT or opcode is BINARY:
            if event.fin:
                self._take(opcode, event.data)
            else:
                self._opcode, self._fragments = opcode, bytearray(event.data)
        elif opcode is CONT:
            if self._fragments is None:
                return  # after a bound was broken
            self._fragments += event.data
            if event.fin:
                payload, self._fragments = bytes(self._fragments), None
                self._take(self._opcode, payload)
            else:
                self._end_if(self._usage.fragment())
        elif opcode is PING or opcode is PONG:
            self._end_if(self._usage.control(self._tape.mono_ns))
            if opcode is PONG:
                self._pong()

    def _pong(self) -> None:
        if self._ping_sent_ns is not None:
            self._ping_rtt = (self._tape.mono_ns - self._ping_sent_ns) / NS
            self._ping_sent_ns = None

    def _take(self, opcode: Opcode, payload: Buffer) -> None:
        self._usage.completed()
        if opcode is BINARY:
            self._tape.add(frame.BINARY, payload)
        else:
            self._tape.add(frame.TEXT, payload)
            if not _is_utf8(payload):
                self._fail_invalid_text()
        if self._look is not None:
            self._look(payload)

    def _fail_invalid_text(self) -> None:
        """Fail the connection, as RFC 6455, 8.1 demands; the frame itself is recorded."""
        if not self._failed and self.protocol.state is OPEN:
            self._failed = True
            self.protocol.fail(CloseCode.INVALID_DATA, "text frame is not UTF-8")
            self.send_data()

    # -- sending: it does not wait for the socket, as our messages are few and small

    def send_text(self, text: str) -> bool:
        """Send a message; return False if the connection is not open."""
        if self.protocol.state is not OPEN:
            return False
        self.protocol.send_text(text.encode())
        self.send_data()
        return True

    def send_ping(self) -> None:
        """Send a WebSocket ping; its pong gives the round-trip time."""
        if self.protocol.state is OPEN:
            self._ping_sent_ns = self._tape.clock.mono_ns()
            self.protocol.send_ping(b"recorder")
            self.send_data()

    def send_close(self, reason: str) -> None:
        """Begin the closing handshake."""
        if self.protocol.state is OPEN:
            # A close frame has room for 123 bytes; a reason can quote the service, so it is cut.
            fitting = reason.encode("utf-8", "replace")[:123].decode("utf-8", "ignore")
            self.protocol.send_close(CloseCode.NORMAL_CLOSURE, fitting)
            self.send_data()

    # -- status

    def round_trip(self) -> float | None:
        """Return the round-trip time (s) of the last ping, else the kernel's estimate (Linux).

        None if neither is known.
        """
        if self._ping_rtt is not None:
            return self._ping_rtt
        sock = self.transport.get_extra_info("socket")
        if sock is None or not sys.platform.startswith("linux"):
            return None
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        except OSError:
            return None
        (microseconds,) = struct.unpack_from("I", info, 68)  # tcpi_rtt of struct tcp_info
        return float(microseconds) / 1e6

    def backlog(self) -> int | None:
        """Return the bytes in the socket that are not read yet; None if the socket is closed.

        They are stamped late: the receive time is taken when they are read.
        """
        sock = self.transport.get_extra_info("socket")
        try:
            return int.from_bytes(
                fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder
            )
        except (OSError, AttributeError, ValueError):
            return None


def _is_utf8(payload: Buffer) -> bool:
    assert not isinstance(payload, memoryview)
    if payload.isascii():
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


class Connector(connect):
    """`websockets.connect` without redirects: a key goes only to the user's endpoint."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return the exception: a redirect is a refusal."""
        return exc


async def open_connection(url: str, **options: Any) -> RecordingConnection:
    """Open and return a recording connection.

    Raises:
        Exception: whatever `websockets.connect` raises.
    """
    connection = await Connector(url, ping_interval=None, max_queue=None, **options)
    assert isinstance(connection, RecordingConnection)
    return connection


async def ended(connection: RecordingConnection) -> None:
    """Wait until the connection is closed or lost."""
    await asyncio.shield(connection.connection_lost_waiter)
