"""What to do when a child process ends: decisions only, so that they can be tried without one.

The order of the children is the order of the flow: capture, ingest, then who watches. They are
started in it, and ended in it, so that each can take what the one before it left.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field

from recorder.backoff import Backoff

#: Endings that a restart cannot change: the settings are wrong, a key is missing or refused.
FINAL = {
    2: "its settings are wrong",
    4: "a key is missing, refused or expired",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """`healthy`: seconds after which a child that dies counts as one that had been well."""

    backoff: Backoff = field(default_factory=lambda: Backoff(first=0.5, most=30.0))
    healthy: float = 60.0


@dataclass(frozen=True, slots=True)
class Restart:
    """Start it again after `delay` seconds; it failed `failures` times in a row."""

    delay: float
    failures: int


@dataclass(frozen=True, slots=True)
class Leave:
    """Do not start it again, and why."""

    why: str


def after(
    code: int, ran: float, failures: int, policy: Policy, dice: Callable[[], float]
) -> Restart | Leave:
    """What follows when a child ended by itself.

    `code` is its exit code (negative: the signal that killed it), `ran` for how many seconds it
    had been running, `failures` how often it had failed in a row before.
    """
    if code in FINAL:
        return Leave(FINAL[code])
    failures = 1 if ran >= policy.healthy else failures + 1
    return Restart(policy.backoff.delay(failures, dice), failures)


def ending(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def fresh(beat_at: float | None, now: float, limit: float) -> bool:
    """True if a beat was heard within so many seconds."""
    return beat_at is not None and now - beat_at <= limit


def exit_code(codes: dict[str, int]) -> int:
    """The supervisor's own exit code after a drain: what went wrong first in the flow's order."""
    for code in codes.values():
        if code:
            return code if code > 0 else 1
    return 0
