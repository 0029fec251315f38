"""Every fault class by name, in the order of the report."""

from __future__ import annotations

from collections.abc import Callable

from .clocks import clock_steps
from .damage import every_cut, mutations
from .disk import failing_sync, full_disk, overflow, short_write, slow_disk
from .fuzz import fuzz
from .handshakes import refusals, tls
from .kills import kill_capture, kill_ingest, kill_seal
from .lines import redundant_lines
from .messages import bomb, shapes
from .network import accept_then_close, half_open, resets
from .outcome import Outcome, Scale
from .power import power_cut
from .recovery import recovery_speed

FaultClass = Callable[[int, Scale], Outcome]

CLASSES: dict[str, FaultClass] = {
    "kill -9 of capture": kill_capture,
    "kill -9 of sealing": kill_seal,
    "kill -9 of ingest": kill_ingest,
    "power cut": power_cut,
    "disk full": full_disk,
    "disk and buffer full": overflow,
    "EIO on fdatasync": failing_sync,
    "short writes": short_write,
    "slow disk, flooding server": slow_disk,
    "journal cut at every byte": every_cut,
    "mutated journals": mutations,
    "half-open TCP": half_open,
    "TCP resets": resets,
    "accept, then close": accept_then_close,
    "refused and dripping handshakes": refusals,
    "TLS failures": tls,
    "fragments and compression": shapes,
    "decompression bomb": bomb,
    "clock steps": clock_steps,
    "fuzzed frames": fuzz,
    "two lines, random resets": redundant_lines,
    "recovery of orphans": recovery_speed,
}
