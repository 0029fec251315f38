"""The supervisor's decisions, as pure functions: what to do when a child process ends.

Children are started and stopped in the order of the data flow (capture, ingest, then serve and
alerts), so that each can process what the one before it wrote.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field

from recorder.backoff import Backoff

#: Exit codes after which a restart does not help, with their reasons.
FINAL = {
    2: "its settings are wrong",
    4: "a key is missing, refused or expired",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """The back-off between restarts; it resets after `healthy` seconds of running."""

    backoff: Backoff = field(default_factory=lambda: Backoff(first=0.5, most=30.0))
    healthy: float = 60.0


@dataclass(frozen=True, slots=True)
class Restart:
    """The decision to restart after `delay` seconds, having failed `failures` times in a row."""

    delay: float
    failures: int


@dataclass(frozen=True, slots=True)
class NoRestart:
    """The decision not to restart, with the reason."""

    why: str


def next_step(
    code: int, ran: float, failures: int, policy: Policy, dice: Callable[[], float]
) -> Restart | NoRestart:
    """Decide what to do after a child ended by itself.

    `code` is its exit code (negative: the signal that killed it), `ran` its running time in s,
    `failures` the number of its failures in a row before this one.
    """
    if code in FINAL:
        return NoRestart(FINAL[code])
    failures = 1 if ran >= policy.healthy else failures + 1
    return Restart(policy.backoff.delay(failures, dice), failures)


def exit_text(code: int) -> str:
    """Return an exit code in words; a negative code is a signal."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def exit_code(codes: dict[str, int]) -> int:
    """Return the supervisor's exit code: that of the first child in order that failed, else 0."""
    for code in codes.values():
        if code:
            return code if code > 0 else 1
    return 0
