"""One feed's files in one batch: it divides them into units for tasks, and collects the results."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
from pyarrow import compute

from recorder.clock import LAST
from recorder.lake import plan, transfer, waiting
from recorder.lake.delta import Writer
from recorder.lake.place import Place
from recorder.lake.raw import RawFile
from recorder.lake.seed import FeedSeed, FileSeed
from recorder.lake.state_tables import StateTables
from recorder.lake.survey import Survey
from recorder.lake.tables import MARKED, SHAPES
from recorder.lake.task import TaskResult, TaskRules, Unit
from recorder.lake.write import Added, written
from recorder.record.layout import run_of
from recorder.stream import glance
from recorder.tables import arrivals, normalise
from recorder.tables.normalise import Normaliser
from recorder.tables.rules import Rules


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """The places to read from and write to, and the size up to which small files share a task."""

    raw: Place
    tables: Place
    unit_bytes: int


@dataclass(frozen=True, slots=True)
class FeedContext:
    """Facts about a feed from outside of the batch."""

    last_heard: Mapping[str, int]  # runs in the lake, each with its latest receive time (ns)
    ahead: Sequence[Survey] = ()  # of each run, the first file that is not in this batch


def _run(survey: Survey) -> str:
    return run_of(survey.file.stem)


class FeedBatch:
    """A feed's usable files in one batch, in order."""

    def __init__(
        self,
        settings: BatchSettings,
        writer: Writer,
        rules: Rules,
        surveys: Sequence[Survey],
        context: FeedContext,
    ) -> None:
        self.feed = surveys[0].file.feed
        self.results: list[TaskResult] = []
        self.late: list[RawFile] = []  # files whose copies may be rows already
        self._settings, self._writer, self._context = settings, writer, context
        self._rules, self._surveys = rules, list(surveys)
        self._state: Mapping[str, pa.Table] | None = None  # set if tasks take files independently

    def units(self) -> list[Unit]:
        """Return the units for the tasks, made of the files that are left."""
        self._state = None
        if not self._surveys:
            return []
        until, several = LAST, self._several()
        if self._keeps_nothing or several:
            with StateTables(self.feed, self._surveys, self._known, self._rules.stamped) as tables:
                independent = (
                    self._independent(tables)
                    if self._keeps_nothing and tables.is_contiguous
                    else None
                )
                self.late = [self._surveys[place].file for place in tables.late] if several else []
                tables.fold()
                if several:
                    until = self._ready_until(tables)
                if independent and until == LAST and not tables.overlaps(self._context.ahead):
                    self._state = {name: tables.rows(name) for name in MARKED}
                    return independent(tables)
        until = min([until, *(survey.first_ns for survey in self._context.ahead)])
        seed = FeedSeed(self._settings.tables, self._writer.versions)
        return [replace(self._unit(self._surveys, seed), until_ns=until)]

    def settled(self, results: Sequence[TaskResult]) -> bool:
        """Take the tasks' results; return False if the files that are left need another run.

        That is the case if a task left out one of several independent files: the state of the
        other files was computed with it.
        """
        self.results = list(results)
        left_out = {stem for one in results for stem in one.skipped}
        self._surveys = [one for one in self._surveys if one.file.stem not in left_out]
        return not left_out or self._state is None

    @property
    def left(self) -> list[RawFile]:
        """The files that were not ingested to their end."""
        return [file for one in self.results for file in one.left]

    @property
    def files(self) -> int:
        """The number of files ingested to their end."""
        return len(self._surveys) - len(self.left)

    @property
    def frames(self) -> int:
        """The number of frames ingested, markers included."""
        return sum(one.frames for one in self.results) if self._surveys else 0

    @property
    def any(self) -> bool:
        """Whether anything was ingested."""
        return self.frames > 0 or self.files > 0

    def added(self) -> list[Added]:
        """Return the files of the feed's new rows, and of its new state."""
        if not self.any:
            return []
        result = [file for one in self.results for file in one.added]
        if self._state is not None:
            name = self._unit(self._surveys, FeedSeed(self._settings.tables, {})).name
            state = {**self._state, "arrivals": self._arrivals()}
            result += [
                file
                for table, rows in state.items()
                if (file := self._state_file(table, rows, name))
            ]
        return result

    # -- deciding

    @property
    def _sql(self) -> Normaliser | None:
        return self._rules.load()

    @property
    def _keeps_nothing(self) -> bool:
        return self._sql is None or (glance.supports(self._sql) and not self._sql.remembers)

    def _several(self) -> bool:
        """Return True if several runs bring files: several hosts, or one host's captures."""
        runs = map(_run, [*self._surveys, *self._context.ahead])
        return len({*self._context.last_heard, *runs}) > 1

    def _ready_until(self, tables: StateTables) -> int:
        """Return the time (ns) up to which frames can be taken; `LAST` if none has to wait."""
        runs = [*self._context.last_heard.items()]
        runs += [(_run(survey), survey.last_ns) for survey in self._surveys]
        until = waiting.ready_until(tables.last_heard(), runs, time.time_ns())
        return until if until <= max(survey.last_ns for survey in self._surveys) else LAST

    def _independent(self, tables: StateTables) -> Callable[[StateTables], list[Unit]]:
        """Return a function that makes independent units, each with the state before its files.

        Call it with the same tables once the surveys are folded into them.
        """
        groups = plan.groups(self._surveys, self._settings.unit_bytes)
        seeds = [(tables.connections(group), tables.before(group)) for group in groups]

        def units(folded: StateTables) -> list[Unit]:
            return [
                self._unit(
                    [self._surveys[place] for place in group],
                    FileSeed(*map(transfer.encoded, (known, before, folded.instruments(group)))),
                )
                for group, (known, before) in zip(groups, seeds, strict=True)
            ]

        return units

    def _unit(self, surveys: Sequence[Survey], seed: FileSeed | FeedSeed) -> Unit:
        files = tuple(survey.file for survey in surveys)
        rules = _task_rules(self._rules)
        name = plan.name_of(files, rules.sql or "")
        return Unit(self._settings.raw, self._settings.tables, self.feed, name, files, rules, seed)

    # -- state

    def _known(self, name: str) -> pa.Table:
        return self._writer.rows(name, self.feed)

    def _arrivals(self) -> pa.Table:
        """Return the arrivals that may belong to the next overlap.

        Those are the ones within a second of the latest frame of all files after theirs.
        """
        place = {survey.file.stem: number for number, survey in enumerate(self._surveys)}
        results = sorted(self.results, key=lambda one: place[one.unit.files[0].stem])
        parts = [(one.last_ns, transfer.decoded(one.arrivals)) for one in results]
        latest, kept = None, []
        for last, rows in reversed([(None, self._known("arrivals")), *parts]):
            near = latest - arrivals.MARGIN_NS if latest is not None else -LAST
            known = rows.filter(compute.field("last_ns") >= near)
            kept.append(known.select(SHAPES["arrivals"].in_file.names))
            latest = last if latest is None else max(latest, last or latest)
        return pa.concat_tables(kept)

    def _state_file(self, table: str, rows: pa.Table, name: str) -> Added | None:
        parts = [rows] if len(rows) else []
        return written(self._settings.tables, table, name, parts, feed=self.feed)


def _task_rules(rules: Rules) -> TaskRules:
    if rules.sql is None:
        return TaskRules("", None, rules.whale_usd, rules.stamped, rules.coding)
    path = normalise.path_of(rules.sql)
    text = path.read_text("utf-8")
    return TaskRules(path.stem, text, rules.whale_usd, rules.stamped, rules.coding)
