"""Who writes a lake: a row of `about`, renewed while its writer works.

It keeps a second driver from working in vain. What keeps rows from being doubled is stronger:
every commit of a writer names the version that it stands on, and fails if there is a newer one.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass, replace

from recorder.clock import NS
from recorder.errors import BusyError

#: A claim that was not renewed for so long has no owner any more.
STALE_NS = 120 * NS

#: How often a claim is renewed, in seconds.
RENEW_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Claim:
    """One writer, and when it last said that it works."""

    writer: str  # nobody else's
    host: str
    pid: int
    at_ns: int

    @classmethod
    def now(cls, at_ns: int) -> Claim:
        """This process's claim."""
        return cls(os.urandom(8).hex(), socket.gethostname(), os.getpid(), at_ns)

    @classmethod
    def read(cls, text: str) -> Claim:
        """The claim that `told` wrote; one that is not understood is nobody's."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return cls("", "", 0, 0)

    def told(self) -> str:
        """The claim as text."""
        return json.dumps(asdict(self))

    def renewed(self, at_ns: int) -> Claim:
        """The same claim, later."""
        return replace(self, at_ns=at_ns)

    def lives(self, now_ns: int) -> bool:
        """True if its writer may still work."""
        if now_ns - self.at_ns >= STALE_NS:
            return False
        return self.host != socket.gethostname() or _runs(self.pid)

    def refusal(self, where: str) -> BusyError:
        """The error for who comes second."""
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
