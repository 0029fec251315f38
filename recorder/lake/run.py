"""Ingest into a lake: new sealed files become rows, batch by batch, in tasks.

The driver lists, decides and commits; it reads no frame. A `TaskRunner` runs the tasks: in this
process, or on a cluster's workers (`recorder.lake.spark`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from recorder.lake import plan
from recorder.lake.delta import Writer
from recorder.lake.feed_batch import BatchSettings, FeedBatch, FeedContext
from recorder.lake.place import Place
from recorder.lake.raw import RawFile, listed
from recorder.lake.survey import Survey, SurveyTask, survey
from recorder.lake.task import run_unit
from recorder.record.layout import run_of
from recorder.reporter import QUIET, Reporter
from recorder.tables.rules import Rules

T = TypeVar("T")
R = TypeVar("R")


class TaskRunner(Protocol):
    """Runs a function on each item, in this process or on a cluster."""

    def __call__(self, work: Callable[[T], R], items: Sequence[T]) -> Iterable[R]:
        """Return the results, in any order."""


def run_here(work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Run the tasks in this process, one after the other; return the results, in order."""
    return map(work, items)


#: The rules by which a feed is normalised, by its name and kind.
RulesOf = Callable[[str, str], Rules]


@dataclass(slots=True)
class Done:
    """The result of a run. `skipped`: stems of files left out, and why."""

    frames: int = 0
    files: int = 0
    batches: int = 0
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class LakeState:
    """The segments in the lake, and each feed's runs with their latest receive time (ns)."""

    stems: set[str]
    last_heard: dict[str, dict[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, writer: Writer) -> LakeState:
        """Read the state from the lake's ledger."""
        rows = writer.rows("ledger", columns=["feed", "segment", "last_recv_ns"])
        state = cls(set(rows["segment"].to_pylist()))
        for feed, segment, last_ns in zip(*(column.to_pylist() for column in rows), strict=True):
            state._note(feed, segment, last_ns)
        return state

    def runs(self, feed: str) -> dict[str, int]:
        """Return a feed's runs, each with its latest receive time (ns)."""
        return dict(self.last_heard.get(feed, {}))

    def related(self, surveys: Sequence[Survey], ahead: Sequence[RawFile]) -> list[RawFile]:
        """Return the files `ahead` that a batch may depend on: their feed has several runs."""
        runs = {feed: set(self.runs(feed)) for feed in {one.file.feed for one in surveys}}
        for file in [*(one.file for one in surveys), *ahead]:
            if file.feed in runs:
                runs[file.feed].add(run_of(file.stem))
        return [file for file in ahead if len(runs.get(file.feed, ())) > 1]

    def note(self, surveys: Sequence[Survey]) -> None:
        """Note the runs and times of files that were surveyed."""
        for one in surveys:
            self._note(one.file.feed, one.file.stem, one.last_ns)

    def _note(self, feed: str, segment: str, last_ns: int) -> None:
        runs, run = self.last_heard.setdefault(feed, {}), run_of(segment)
        runs[run] = max(last_ns, runs.get(run, last_ns))


@dataclass(slots=True)
class Engine:
    """An ingest into a lake.

    `reporter` takes warnings of files that are left out, and progress in frames.
    """

    raw: Place
    tables: Place
    rules: RulesOf
    run_tasks: TaskRunner = run_here
    reporter: Reporter = QUIET
    batch_bytes: int = plan.BATCH_BYTES
    unit_bytes: int = plan.UNIT_BYTES

    def run(self, writer: Writer) -> Done:
        """Ingest the files that the lake does not hold yet; commit each batch by itself.

        Raises:
            BusyError: another writer took over.
            StoreError, CredentialsError: the store refuses or is unavailable.
        """
        done, state = Done(), LakeState.of(writer)
        waiting: list[RawFile] = []
        for batch, ahead in plan.batches(plan.new(listed(self.raw), state.stems), self.batch_bytes):
            surveys = self._survey([*waiting, *batch], done)
            following = self._survey(state.related(surveys, ahead))
            waiting = self._take(writer, surveys, following, state, done)
        return done

    def _survey(self, files: Sequence[RawFile], done: Done | None = None) -> list[Survey]:
        """Return the surveys of the usable files; note in `done` those that cannot be read."""
        tasks = [SurveyTask(self.raw, tuple(some)) for some in plan.survey_groups(files)]
        surveys = [one for some in self.run_tasks(survey, tasks) for one in some]
        if done:
            self._leave_out({one.file.stem: one.wrong for one in surveys if one.wrong}, done)
        return [one for one in surveys if one.usable]

    def _take(
        self,
        writer: Writer,
        surveys: Sequence[Survey],
        ahead: Sequence[Survey],
        state: LakeState,
        done: Done,
    ) -> list[RawFile]:
        """Ingest and commit one batch; return the files whose later frames have to wait.

        The files `ahead` are in a later batch.
        """
        settings = BatchSettings(self.raw, self.tables, self.unit_bytes)
        following = plan.by_feed(ahead)
        feeds = [
            FeedBatch(settings, writer, self.rules(feed, some[-1].kind), some,
                      FeedContext(state.runs(feed), following.get(feed, ())))
            for feed, some in plan.by_feed(surveys).items()
        ]  # fmt: skip
        self._run_units(feeds, done)
        added = [file for feed in feeds for file in feed.added()]
        if added:
            writer.commit(added, {feed.feed for feed in feeds if feed.any})
            done.batches += 1
            done.files += sum(feed.files for feed in feeds)
            done.frames += (frames := sum(feed.frames for feed in feeds))
            self.reporter.progress(frames)
        state.note(surveys)
        return [file for feed in feeds for file in feed.left]

    def _run_units(self, feeds: Sequence[FeedBatch], done: Done) -> None:
        """Run all feeds' units together; run a feed's again if a file had to be left out."""
        waiting = list(feeds)
        while waiting:
            units = [unit for feed in waiting for unit in feed.units()]
            results = list(self.run_tasks(run_unit, units))
            for one in results:
                self._leave_out(one.skipped, done)
            waiting = [
                feed
                for feed in waiting
                if not feed.settled([one for one in results if one.unit.feed == feed.feed])
            ]
        for feed in feeds:
            for text in (text for one in feed.results for text in one.warnings):
                self.reporter.warn(text)
            for file in feed.late:
                name = f"{file.feed} {file.stem}"
                self.reporter.warn(f"came late, frames of it may be rows twice: {name}")

    def _leave_out(self, skipped: dict[str, str], done: Done) -> None:
        for stem, why in skipped.items():
            self.reporter.warn(f"file left out: {stem}: {why}")
        done.skipped |= skipped
