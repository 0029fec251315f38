"""Notifications of problems that begin and end; the verdict detects the problems. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from recorder.settings.alerts import LASTING
from recorder.status.conditions import CONDITIONS
from recorder.status.model import SEVERITIES, Problem

#: In a rule's `health`: every condition.
ALL = "all"

GROUPS = tuple(dict.fromkeys(one.group for one in CONDITIONS.values()))


def conditions_of(words: Iterable[str]) -> frozenset[str]:
    """Return the names of the conditions that the words of a rule's `health` select.

    A word is `all`, a group or a condition's name.

    Raises:
        KeyError: a word is something else.
    """
    names: set[str] = set()
    for word in words:
        own = {one.name for one in CONDITIONS.values() if word in {ALL, one.group, one.name}}
        if not own:
            raise KeyError(word)
        names |= own
    return frozenset(names)


def key_of(problem: Problem) -> str:
    """Return the key under which the next look recognises the same problem."""
    return f"{problem.condition} {problem.where}"


@dataclass(slots=True)
class _Held:
    """One problem over time; times are seconds."""

    problem: Problem
    since: float
    sent: bool = False
    sent_at: float | None = None
    ended: bool = False


@dataclass(slots=True)
class _Occurrence:
    """The newest occurrence of an event: each occurrence is an alert."""

    problem: Problem
    sent_ns: int = 0
    """When the newest one that was sent, or that predates the watch, began."""
    sent_at: float | None = None


@dataclass(slots=True)
class Watch:
    """One rule's problems; it decides what to send, without repeating a problem.

    A problem is sent once it lasted `lasting` seconds, and its end if it had been sent. It is not
    sent again within `cooldown` seconds, even if it ends and begins again. A condition whose
    threshold is a time (its `hold` is 0) has lasted `LASTING` seconds when it is found.

    Each occurrence of an event (a gap) is sent as it is found; those within `cooldown` seconds
    after another become one message at the end of that time. The first look sends no events.
    """

    lasting: float
    cooldown: float
    resolved: bool
    _held: dict[str, _Held] = field(default_factory=dict)
    _occurred: dict[str, _Occurrence] = field(default_factory=dict)
    _looked: bool = False

    def look(self, now: float, problems: Iterable[Problem]) -> list[tuple[Problem, bool]]:
        """Return the problems to send now, each with True if it is over."""
        events: list[Problem] = []
        there: dict[str, Problem] = {}
        for one in problems:
            if CONDITIONS[one.condition].event:
                events.append(one)
            else:
                there[key_of(one)] = one
        send = [(one, False) for one in self._events(now, events)]
        send += [(one, False) for one in self._begun(now, there)]
        return send + [(one, True) for one in self._over(now, there)]

    def _events(self, now: float, events: list[Problem]) -> list[Problem]:
        send = []
        for one in events:
            known = self._occurred.setdefault(key_of(one), _Occurrence(one))
            known.problem = one
            if not self._looked:
                known.sent_ns = one.since_ns or 0
        self._looked = True
        for known in self._occurred.values():
            since_ns = known.problem.since_ns or 0
            if since_ns > known.sent_ns and self._is_cool(known.sent_at, now):
                known.sent_ns, known.sent_at = since_ns, now
                send.append(known.problem)
        return send

    def _begun(self, now: float, there: Mapping[str, Problem]) -> list[Problem]:
        send = []
        for key, one in there.items():
            held = self._held.setdefault(key, _Held(one, now))
            if held.ended:
                held.since, held.ended = now, False
            held.problem = one
            lasting = max(0.0, self.lasting - LASTING + CONDITIONS[one.condition].hold)
            if not held.sent and self._is_cool(held.sent_at, now) and now - held.since >= lasting:
                held.sent, held.sent_at = True, now
                send.append(one)
        return send

    def _over(self, now: float, there: Mapping[str, Problem]) -> list[Problem]:
        send = []
        for key in [key for key in self._held if key not in there]:
            held = self._held[key]
            if held.sent and self.resolved and not _became_another(held.problem, there.values()):
                send.append(held.problem)
            held.sent, held.ended = False, True
            if self._is_cool(held.sent_at, now):
                del self._held[key]
        return send

    def _is_cool(self, sent_at: float | None, now: float) -> bool:
        return sent_at is None or now - sent_at >= self.cooldown

    # -- over a restart

    def state(self, now: float) -> dict[str, Any]:
        """Return what was sent, for the state file; times as seconds ago."""
        held = [
            {"problem": asdict(one.problem), "sent": one.sent, "sent_ago": now - one.sent_at}
            for one in self._held.values()
            if one.sent_at is not None
        ]
        occurred = [
            {
                "problem": asdict(one.problem),
                "sent_ns": one.sent_ns,
                "sent_ago": None if one.sent_at is None else now - one.sent_at,
            }
            for one in self._occurred.values()
        ]
        return {"held": held, "occurred": occurred, "looked": self._looked}

    def restore(self, now: float, state: Mapping[str, Any], away: float) -> None:
        """Continue from a state, after `away` seconds without a look.

        Conditions that this version does not know are left out.

        Raises:
            KeyError, TypeError, ValueError: this is not a state.
        """
        for one in state.get("held", ()):
            problem, sent_at = Problem(**one["problem"]), now - one["sent_ago"] - away
            if problem.condition in CONDITIONS:
                held = _Held(problem, sent_at, one["sent"], sent_at, not one["sent"])
                self._held[key_of(problem)] = held
        for one in state.get("occurred", ()):
            problem, ago = Problem(**one["problem"]), one["sent_ago"]
            if problem.condition in CONDITIONS:
                sent_at = None if ago is None else now - ago - away
                self._occurred[key_of(problem)] = _Occurrence(problem, one["sent_ns"], sent_at)
        self._looked = bool(state.get("looked"))


def _became_another(ended: Problem, there: Iterable[Problem]) -> bool:
    """Return True if another problem in the same place, no less severe, replaced this one."""
    group = CONDITIONS[ended.condition].group
    return any(
        SEVERITIES.index(one.severity) <= SEVERITIES.index(ended.severity)
        and one.where in {ended.where, ended.feed}
        and (CONDITIONS[one.condition].group == group or ended.feed != "")
        for one in there
    )
