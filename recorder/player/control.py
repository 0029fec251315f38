"""The control channel: each message is a JSON object, answered with a status."""

from __future__ import annotations

import json

from recorder.clock import iso
from recorder.errors import UsageError
from recorder.feed import parsed
from recorder.player.iterate import speed_of
from recorder.player.stage import Stage
from recorder.player.timeline import MAX
from recorder.stream.span import FOR_EVER
from recorder.times import moment_of

COMMANDS = ("status", "pause", "resume", "seek", "speed")


def command(stage: Stage, message: str | bytes) -> str:
    """Execute a command; return the status, or `{"error": …}`, as JSON.

    `{"do": "pause"}`, `{"do": "seek", "to": "2026-01-31T12:00Z"}`, `{"do": "speed", "speed": 10}`.
    """
    request = parsed(message) or {}
    try:
        match request.get("do"):
            case "status":
                pass
            case "pause":
                stage.pause()
            case "resume":
                stage.resume()
            case "seek":
                to = request.get("to")
                if not isinstance(to, str | int) or isinstance(to, bool):
                    raise UsageError(
                        "seek where?", hint='{"do": "seek", "to": "2026-01-31T12:00Z"}'
                    )
                stage.seek(moment_of(to, stage.clock.wall_ns()))
            case "speed":
                speed = request.get("speed")
                if not isinstance(speed, str | int | float):
                    raise UsageError("which speed?", hint='{"do": "speed", "speed": 10}, or "max"')
                stage.go(speed_of(speed))
            case other:
                hint = "do is one of: " + ", ".join(COMMANDS)
                raise UsageError(f"no command {other!r:.60}", hint=hint)
    except UsageError as error:
        return json.dumps({"error": str(error)})
    return json.dumps(status(stage))


def status(stage: Stage) -> dict[str, object]:
    """Return the position of the replay and the number of clients, ready for JSON."""
    timeline, span = stage.timeline, stage.play.span
    position = timeline.position() or stage.first_ns
    feeds: dict[str, int] = dict.fromkeys(stage.play.services, 0)
    for client in stage.clients:
        feeds[client.feed] += 1
    return {
        "state": "paused" if timeline.paused and stage.state != "ended" else stage.state,
        "position_ns": position,
        "position": iso(position),
        "speed": "max" if timeline.speed == MAX else timeline.speed,
        "start_ns": max(span.since_ns, stage.first_ns),
        "end_ns": span.until_ns if span.until_ns < FOR_EVER else None,
        "frames": stage.sent,
        "clients": feeds,
        "shift_ns": stage.shift_ns,
    }
