"""The claim of a lake's writer: a row of `about`, renewed while the writer works.

A claim only keeps a second driver from doing work that would be refused. It is not what keeps rows
from being doubled: each commit names the version it is based on, and fails if there is a newer one.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass, replace

from recorder.clock import NS
from recorder.errors import BusyError

#: A claim that was not renewed for this long has lapsed.
STALE_NS = 120 * NS

#: Seconds between two renewals of a claim.
RENEW_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Claim:
    """A writer, and when it last renewed its claim."""

    writer: str  # unique
    host: str
    pid: int
    at_ns: int

    @classmethod
    def now(cls, at_ns: int) -> Claim:
        """Return a new claim of this process."""
        return cls(os.urandom(8).hex(), socket.gethostname(), os.getpid(), at_ns)

    @classmethod
    def read(cls, text: str) -> Claim:
        """Return the claim that `encoded` wrote; one that cannot be decoded has no owner."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return cls("", "", 0, 0)

    def encoded(self) -> str:
        """Return the claim as JSON."""
        return json.dumps(asdict(self))

    def renewed(self, at_ns: int) -> Claim:
        """Return the same claim with a later time."""
        return replace(self, at_ns=at_ns)

    def lives(self, now_ns: int) -> bool:
        """Return True if the writer may still be running."""
        if now_ns - self.at_ns >= STALE_NS:
            return False
        return self.host != socket.gethostname() or _runs(self.pid)

    def refusal(self, where: str) -> BusyError:
        """Return the error for a second writer."""
        return BusyError(
            f"another ingest works here (pid {self.pid} on {self.host})",
            where=where,
            hint="stop it first; if it is gone, wait two minutes or add --take-over",
        )


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
