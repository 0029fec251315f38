"""The server side of one WebSocket connection, written by hand for full speed."""

import base64
import hashlib
import socket

_ACCEPT_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CLOSE, _PING = 0x8, 0x9
_NORMAL_CLOSURE = b"\x88\x02\x03\xe8"


class Wire:
    """One accepted connection on a blocking socket."""

    def __init__(self, listener: socket.socket, timeout: float = 30.0) -> None:
        self._timeout = timeout
        listener.settimeout(timeout)
        self.socket, _ = listener.accept()
        self.socket.settimeout(timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self._shake_hands()

    def answer(self) -> None:
        """Reply to the pings that have arrived, without waiting."""
        self.socket.setblocking(False)
        try:
            self._received += self.socket.recv(65536)
        except BlockingIOError:
            return
        finally:
            self.socket.settimeout(self._timeout)
        self._take_frames()

    def close(self) -> None:
        """Send a close frame, wait for the peer's, and close the socket."""
        self.socket.sendall(_NORMAL_CLOSURE)
        while _CLOSE not in self._take_frames():
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the peer disconnected without a close frame")
            self._received += data
        self.socket.close()

    def _shake_hands(self) -> None:
        while b"\r\n\r\n" not in self._received:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the peer disconnected before its handshake was complete")
            self._received += data
        request, self._received = self._received.split(b"\r\n\r\n", 1)
        headers = dict(line.split(b": ", 1) for line in request.split(b"\r\n")[1:])
        key = {name.lower(): value for name, value in headers.items()}[b"sec-websocket-key"]
        accept = base64.b64encode(hashlib.sha1(key + _ACCEPT_KEY).digest())
        self.socket.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    def _take_frames(self) -> list[int]:
        """Consume the complete frames received so far, answer pings, return the opcodes."""
        opcodes = []
        while (frame := _first_frame(self._received)) is not None:
            opcode, payload, self._received = frame
            opcodes.append(opcode)
            if opcode == _PING:
                self.socket.sendall(bytes((0x8A, len(payload))) + payload)
        return opcodes


def _first_frame(data: bytes) -> tuple[int, bytes, bytes] | None:
    """Split off the first client frame: (opcode, payload, rest), or None if it is incomplete."""
    if len(data) < 2:
        return None
    length = data[1] & 0x7F
    wide = {126: 2, 127: 8}.get(length, 0)
    body = 2 + wide + 4
    if wide:
        length = int.from_bytes(data[2 : 2 + wide], "big")
    if len(data) < body + length:
        return None
    mask = data[body - 4 : body]
    payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data[body : body + length]))
    return data[0] & 0x0F, payload, data[body + length :]
