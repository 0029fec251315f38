"""The plan of a lake's ingest: the files of each batch, and of each task. Pure decisions.

Several tasks may take a feed's files independently if its rows need nothing from another file: its
SQL keeps no state and drops no repeated events, no two connections of a group were open at once,
and no frame number is missing. Else the files are one unit, which one task takes in order.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import accumulate, groupby

from recorder.lake.raw import RawFile
from recorder.lake.survey import Survey
from recorder.record.layout import began_ns, order, run_of

#: A batch holds at most this many bytes, unless a single file is larger.
BATCH_BYTES = 2 << 30

#: One task takes small files together, up to this many bytes: starting a task costs more.
UNIT_BYTES = 16 << 20

#: One task surveys at most this many files and bytes: starting a task on a cluster takes 0.1 s,
#: more than the survey of a small file.
SURVEY_FILES = 16
SURVEY_BYTES = 16 << 20


def new(files: Iterable[RawFile], known: Set[str]) -> list[list[RawFile]]:
    """Return the files that were not ingested to their end: a list per run of a feed, in order."""
    fresh = sorted(
        (file for file in files if file.stem not in known),
        key=lambda file: (file.feed, order(file.stem)),
    )
    return [list(some) for _, some in groupby(fresh, key=lambda f: (f.feed, run_of(f.stem)))]


def survey_groups(files: Sequence[RawFile]) -> list[list[RawFile]]:
    """Return the files in groups for one survey task each: a large file, or several small ones."""
    groups = _grouped([file.size for file in files], SURVEY_BYTES, SURVEY_FILES)
    return [[files[place] for place in group] for group in groups]


def in_order(surveys: Iterable[Survey]) -> list[Survey]:
    """Return a feed's surveys in order of time; within a run in its order, whatever the clock."""
    runs: dict[str, list[Survey]] = {}
    for survey in sorted(surveys, key=lambda one: order(one.file.stem)):
        runs.setdefault(run_of(survey.file.stem), []).append(survey)
    return list(heapq.merge(*runs.values(), key=lambda one: one.first_ns))


def batches(
    runs: Sequence[Sequence[RawFile]], limit: int = BATCH_BYTES
) -> Iterator[tuple[list[RawFile], list[RawFile]]]:
    """Yield the files in batches of bounded size, merged by time; each run stays in its order.

    With each batch comes, of every run, the first file of the batches after it.
    """
    ahead = list(heapq.merge(*runs, key=lambda file: began_ns(file.stem)))
    while ahead:
        sizes = accumulate(file.size for file in ahead)
        count = max(1, sum(size <= limit for size in sizes))
        batch, ahead = ahead[:count], ahead[count:]
        following = {(file.feed, run_of(file.stem)): file for file in reversed(ahead)}
        yield batch, list(following.values())


def by_feed(surveys: Iterable[Survey]) -> dict[str, list[Survey]]:
    """Return the surveys of each feed, in order."""
    feeds: dict[str, list[Survey]] = {}
    for survey in surveys:
        feeds.setdefault(survey.file.feed, []).append(survey)
    return {feed: in_order(some) for feed, some in feeds.items()}


def groups(surveys: Sequence[Survey], limit: int = UNIT_BYTES) -> list[list[int]]:
    """Return the places of a feed's files, grouped by the task that takes them independently."""
    return _grouped([survey.file.size for survey in surveys], limit)


def _grouped(sizes: Sequence[int], limit: int, most: int | None = None) -> list[list[int]]:
    """Return places in groups of neighbours, of at most `limit` bytes and `most` places each.

    A place whose size is above the limit makes a group alone.
    """
    result: list[list[int]] = []
    total = 0
    for place, size in enumerate(sizes):
        if not result or total + size > limit or len(result[-1]) == most:
            result.append([])
            total = 0
        result[-1].append(place)
        total += size
    return result


def name_of(files: Sequence[RawFile], fingerprint: str) -> str:
    """Return the name of a unit's output, made of its input and SQL: a retry has the same name."""
    text = "\n".join([*(file.stem for file in files), fingerprint])
    return f"{files[0].stem}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
