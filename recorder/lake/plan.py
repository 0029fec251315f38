"""What a batch is made of: which files, and which of them one task takes. Pure decisions.

A feed's files may be shared out among tasks (`alone`) where its rows need nothing that another
file holds: its SQL keeps no state and knows no events sent again, no two connections of a group
lived at once, and frame numbers simply go on. Else they are one unit, taken in order by one task.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import accumulate, groupby

from recorder.lake.raw import RawFile
from recorder.lake.survey import Survey
from recorder.record.layout import began_ns, order, run_of

#: What one batch holds at most, unless a single file is larger.
BATCH_BYTES = 2 << 30

#: Small files are taken together up to so many bytes: a task costs more than they do.
UNIT_BYTES = 16 << 20

#: Files are looked at together up to so many, and so many bytes: a task of a cluster costs a tenth
#: of a second, which is more than the look at a small file.
LOOK_FILES = 16
LOOK_BYTES = 16 << 20


def new(files: Iterable[RawFile], known: Set[str]) -> list[list[RawFile]]:
    """The files that were not taken in to their end, per run of a feed, in their order."""
    fresh = sorted(
        (file for file in files if file.stem not in known),
        key=lambda file: (file.feed, order(file.stem)),
    )
    return [list(some) for _, some in groupby(fresh, key=lambda f: (f.feed, run_of(f.stem)))]


def looks(files: Sequence[RawFile]) -> list[list[RawFile]]:
    """The files that one task looks at: a large one, or several small ones."""
    packs = _packed([file.size for file in files], LOOK_BYTES, LOOK_FILES)
    return [[files[place] for place in pack] for pack in packs]


def in_order(surveys: Iterable[Survey]) -> list[Survey]:
    """Surveys of a feed in time; those of a run in its own order, if the clock was set back."""
    runs: dict[str, list[Survey]] = {}
    for survey in sorted(surveys, key=lambda one: order(one.file.stem)):
        runs.setdefault(run_of(survey.file.stem), []).append(survey)
    return list(heapq.merge(*runs.values(), key=lambda one: one.first_ns))


def batches(
    runs: Sequence[Sequence[RawFile]], limit: int = BATCH_BYTES
) -> Iterator[tuple[list[RawFile], list[RawFile]]]:
    """The files in batches of bounded size: runs go on together in time, each in its order.

    With each batch comes, of every run, the first file that is not yet in it.
    """
    ahead = list(heapq.merge(*runs, key=lambda file: began_ns(file.stem)))
    while ahead:
        sizes = accumulate(file.size for file in ahead)
        count = max(1, sum(size <= limit for size in sizes))
        batch, ahead = ahead[:count], ahead[count:]
        following = {(file.feed, run_of(file.stem)): file for file in reversed(ahead)}
        yield batch, list(following.values())


def by_feed(surveys: Iterable[Survey]) -> dict[str, list[Survey]]:
    """Surveys per feed, each in its order."""
    feeds: dict[str, list[Survey]] = {}
    for survey in surveys:
        feeds.setdefault(survey.file.feed, []).append(survey)
    return {feed: in_order(some) for feed, some in feeds.items()}


def shares(surveys: Sequence[Survey], limit: int = UNIT_BYTES) -> list[list[int]]:
    """The files of a feed (their places) that tasks take each by itself: neighbours together."""
    return _packed([survey.file.size for survey in surveys], limit)


def _packed(sizes: Sequence[int], limit: int, most: int | None = None) -> list[list[int]]:
    """Neighbours' places together, up to so many bytes and so many of them; at least one."""
    found: list[list[int]] = []
    total = 0
    for place, size in enumerate(sizes):
        if not found or total + size > limit or len(found[-1]) == most:
            found.append([])
            total = 0
        found[-1].append(place)
        total += size
    return found


def name_of(files: Sequence[RawFile], fingerprint: str) -> str:
    """What a unit's output is called: by its input and the SQL, so that it is the same again."""
    text = "\n".join([*(file.stem for file in files), fingerprint])
    return f"{files[0].stem}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
