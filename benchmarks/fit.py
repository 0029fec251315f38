"""What a run costs, as a sum: so much for beginning, so much a file, so much a frame."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Cost:
    """Seconds of a run = fixed + per_file * files + per_frame * frames; none is below zero."""

    fixed: float
    per_file: float
    per_frame: float

    def seconds(self, files: float, frames: float) -> float:
        """What so many files and frames take."""
        return self.fixed + self.per_file * files + self.per_frame * frames


def fit(points: list[tuple[int, int, float]]) -> Cost:
    """The cost that fits (files, frames, seconds) best, relative to each.

    A part that would be below zero is none, and the others are fitted without it.
    """
    kept = [0, 1, 2]
    seconds = np.array([point[2] for point in points])
    table = np.array([(1.0, files, frames) for files, frames, _ in points])
    while True:
        found = np.zeros(3)
        rows = table[:, kept] / seconds[:, None]
        found[kept] = np.linalg.lstsq(rows, np.ones(len(points)), rcond=None)[0]
        if (found >= 0).all():
            return Cost(*map(float, found))
        kept.remove(int(found.argmin()))


def pays_off(alone: Cost, one: Cost, cores: int, frames_per_file: float) -> float | None:
    """From how many frames a cluster of so many cores is faster than one machine; None: never.

    `one` is the cost with one core of work: its part per file and frame is shared out among the
    cores, what is fixed is not. `frames_per_file` says how the frames lie.
    """
    mine = alone.per_frame + alone.per_file / frames_per_file
    theirs = (one.per_frame + one.per_file / frames_per_file) / cores
    if theirs >= mine:
        return None
    return max(0.0, (one.fixed - alone.fixed) / (mine - theirs))


def cores_needed(alone: Cost, one: Cost, frames_per_file: float) -> int:
    """From how many cores a cluster can be faster at all, however many frames there are."""
    mine = alone.per_frame + alone.per_file / frames_per_file
    theirs = one.per_frame + one.per_file / frames_per_file
    return int(theirs / mine) + 1
