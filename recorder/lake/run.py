"""Ingest into a lake: new sealed files become rows, batch by batch, wherever the tasks run.

The driver lists, decides and commits; it reads no frame. A `Spread` runs the tasks: in this
process, or on a cluster's workers (`recorder.lake.spark`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from recorder.lake import plan
from recorder.lake.delta import Writer
from recorder.lake.feed_batch import Beside, Share, Where
from recorder.lake.place import Place
from recorder.lake.raw import RawFile, listed
from recorder.lake.survey import Look, Survey, survey
from recorder.lake.task import make
from recorder.record.layout import run_of
from recorder.reporter import QUIET, Reporter
from recorder.tables.rules import Rules

T = TypeVar("T")
R = TypeVar("R")


class Spread(Protocol):
    """Runs a function on each item, somewhere, and gives the results back in any order."""

    def __call__(self, work: Callable[[T], R], items: Sequence[T]) -> Iterable[R]:
        """The results."""


def here(work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Runs the tasks in this process, one after the other."""
    return map(work, items)


#: How a feed is normalised, by its name and kind.
RulesOf = Callable[[str, str], Rules]


@dataclass(slots=True)
class Done:
    """What a run took in. `skipped`: stems of files left out, and why."""

    frames: int = 0
    files: int = 0
    batches: int = 0
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Known:
    """What the lake holds: segments, and of each feed its runs and when each was last heard of."""

    stems: set[str]
    heard: dict[str, dict[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, writer: Writer) -> Known:
        """As the ledger says."""
        rows = writer.rows("ledger", columns=["feed", "segment", "last_recv_ns"])
        found = cls(set(rows["segment"].to_pylist()))
        for feed, segment, last_ns in zip(*(column.to_pylist() for column in rows), strict=True):
            found._hear(feed, segment, last_ns)
        return found

    def runs(self, feed: str) -> dict[str, int]:
        """A feed's runs, and when each was last heard of (ns)."""
        return dict(self.heard.get(feed, {}))

    def met(self, surveys: Sequence[Survey], ahead: Sequence[RawFile]) -> list[RawFile]:
        """Of the files `ahead` those that may have to do with a batch: several runs bring them."""
        runs = {feed: set(self.runs(feed)) for feed in {one.file.feed for one in surveys}}
        for file in [*(one.file for one in surveys), *ahead]:
            if file.feed in runs:
                runs[file.feed].add(run_of(file.stem))
        return [file for file in ahead if len(runs.get(file.feed, ())) > 1]

    def hear(self, surveys: Sequence[Survey]) -> None:
        """Files that were looked at."""
        for one in surveys:
            self._hear(one.file.feed, one.file.stem, one.last_ns)

    def _hear(self, feed: str, segment: str, last_ns: int) -> None:
        runs, run = self.heard.setdefault(feed, {}), run_of(segment)
        runs[run] = max(last_ns, runs.get(run, last_ns))


@dataclass(slots=True)
class Engine:
    """Ingests into a lake.

    `reporter` is warned of what is left out, and takes progress in frames.
    """

    raw: Place
    tables: Place
    rules: RulesOf
    spread: Spread = here
    reporter: Reporter = QUIET
    batch_bytes: int = plan.BATCH_BYTES
    unit_bytes: int = plan.UNIT_BYTES

    def run(self, writer: Writer) -> Done:
        """Take in what the lake does not hold yet; each batch is committed by itself.

        Raises:
            BusyError: another writer took over.
            StoreError, CredentialsError: the store refuses or is away.
        """
        done, known = Done(), Known.of(writer)
        waiting: list[RawFile] = []
        for batch, ahead in plan.batches(plan.new(listed(self.raw), known.stems), self.batch_bytes):
            surveys = self._look([*waiting, *batch], done)
            waiting = self._take(
                writer, surveys, self._look(known.met(surveys, ahead)), known, done
            )
        return done

    def _look(self, files: Sequence[RawFile], done: Done | None = None) -> list[Survey]:
        """What files say of themselves; those that cannot be read are noted."""
        looks = [Look(self.raw, tuple(some)) for some in plan.looks(files)]
        surveys = [one for some in self.spread(survey, looks) for one in some]
        if done:
            self._leave_out({one.file.stem: one.wrong for one in surveys if one.wrong}, done)
        return [one for one in surveys if one.usable]

    def _take(
        self,
        writer: Writer,
        surveys: Sequence[Survey],
        ahead: Sequence[Survey],
        known: Known,
        done: Done,
    ) -> list[RawFile]:
        """Take one batch; the files that go on. Those `ahead` are in a later one."""
        where, next_ = Where(self.raw, self.tables, self.unit_bytes), plan.by_feed(ahead)
        shares = [
            Share(where, writer, self.rules(feed, some[-1].kind), some,
                  Beside(known.runs(feed), next_.get(feed, ())))
            for feed, some in plan.by_feed(surveys).items()
        ]  # fmt: skip
        self._make(shares, done)
        added = [file for share in shares for file in share.added()]
        if added:
            writer.commit(added, {share.feed for share in shares if share.any})
            done.batches += 1
            done.files += sum(share.files for share in shares)
            done.frames += (frames := sum(share.frames for share in shares))
            self.reporter.progress(frames)
        known.hear(surveys)
        return [file for share in shares for file in share.left]

    def _make(self, shares: Sequence[Share], done: Done) -> None:
        """Run the tasks, all feeds' together; again for feeds of which a file was left out."""
        waiting = list(shares)
        while waiting:
            units = [unit for share in waiting for unit in share.units()]
            made = list(self.spread(make, units))
            for one in made:
                self._leave_out(one.skipped, done)
            waiting = [
                share
                for share in waiting
                if not share.settled([one for one in made if one.unit.feed == share.feed])
            ]
        for share in shares:
            for text in (text for one in share.made for text in one.warnings):
                self.reporter.warn(text)
            for file in share.late:
                name = f"{file.feed} {file.stem}"
                self.reporter.warn(f"came late, frames of it may be rows twice: {name}")

    def _leave_out(self, skipped: dict[str, str], done: Done) -> None:
        for stem, why in skipped.items():
            self.reporter.warn(f"file left out: {stem}: {why}")
        done.skipped |= skipped
