"""Every fault class by name, in the order of the report."""

from __future__ import annotations

from collections.abc import Callable

from .calls import kill_at_calls
from .clocks import clock_steps
from .damage import every_cut, mutations
from .disk import failing_sync, full_disk, no_inodes, overflow, short_write, slow_disk
from .forged import forged_journals
from .fuzz import fuzz
from .handshakes import refusals, tls
from .hostile import hostile_peers
from .kills import kill_capture, kill_ingest, kill_seal
from .lines import redundant_lines
from .messages import bomb, shapes
from .network import accept_then_close, half_open, resets
from .orphans import orphans
from .outcome import Outcome, Scale
from .power import power_cut
from .power_tables import power_cut_of_tables
from .recovery import recovery_speed
from .stopped import stopped

FaultClass = Callable[[int, Scale], Outcome]

CLASSES: dict[str, FaultClass] = {
    "kill -9 of capture": kill_capture,
    "kill -9 of sealing": kill_seal,
    "kill -9 of ingest": kill_ingest,
    "kill -9 at each system call": kill_at_calls,
    "SIGSTOP": stopped,
    "power cut": power_cut,
    "power cut under ingest": power_cut_of_tables,
    "disk full": full_disk,
    "disk and buffer full": overflow,
    "no inodes left": no_inodes,
    "EIO on fdatasync": failing_sync,
    "short writes": short_write,
    "slow disk, flooding server": slow_disk,
    "journal cut at every byte": every_cut,
    "mutated journals": mutations,
    "mutated journals, real start": orphans,
    "forged journals": forged_journals,
    "half-open TCP": half_open,
    "TCP resets": resets,
    "accept, then close": accept_then_close,
    "refused and dripping handshakes": refusals,
    "TLS failures": tls,
    "fragments and compression": shapes,
    "decompression bomb": bomb,
    "hostile peers": hostile_peers,
    "clock steps": clock_steps,
    "fuzzed frames": fuzz,
    "two lines, random resets": redundant_lines,
    "recovery of orphans": recovery_speed,
}
