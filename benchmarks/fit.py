"""A model of a run's cost: a fixed part, a part per file and a part per frame."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Cost:
    """The parts of a run's duration in s: fixed + per_file * files + per_frame * frames."""

    fixed: float
    per_file: float
    per_frame: float

    def seconds(self, files: float, frames: float) -> float:
        """Return the seconds for these numbers of files and frames."""
        return self.fixed + self.per_file * files + self.per_frame * frames


def fit(points: list[tuple[int, int, float]]) -> Cost:
    """Return the cost that fits points (files, frames, seconds) best, by relative error.

    A part that would be negative is set to 0, and the others are fitted without it.
    """
    kept = [0, 1, 2]
    seconds = np.array([point[2] for point in points])
    table = np.array([(1.0, files, frames) for files, frames, _ in points])
    while True:
        parts = np.zeros(3)
        rows = table[:, kept] / seconds[:, None]
        parts[kept] = np.linalg.lstsq(rows, np.ones(len(points)), rcond=None)[0]
        if (parts >= 0).all():
            return Cost(*map(float, parts))
        kept.remove(int(parts.argmin()))


def pays_off(alone: Cost, one: Cost, cores: int, frames_per_file: float) -> float | None:
    """Return the least number of frames for which a cluster is faster than one machine.

    None if it never is. `one` is the cluster's cost with one core of work: its parts per file and
    frame are divided by the number of cores, the fixed part is not.
    """
    mine = alone.per_frame + alone.per_file / frames_per_file
    theirs = (one.per_frame + one.per_file / frames_per_file) / cores
    if theirs >= mine:
        return None
    return max(0.0, (one.fixed - alone.fixed) / (mine - theirs))


def cores_needed(alone: Cost, one: Cost, frames_per_file: float) -> int:
    """Return the least number of cores with which a cluster can be faster, for any frames."""
    mine = alone.per_frame + alone.per_file / frames_per_file
    theirs = one.per_frame + one.per_file / frames_per_file
    return int(theirs / mine) + 1
