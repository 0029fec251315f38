"""One feed's files of one batch: what tasks take of them, and what becomes of their answers."""

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
from recorder.lake.seed import Alone, Whole
from recorder.lake.state_tables import Books
from recorder.lake.survey import Survey
from recorder.lake.tables import MARKED, SHAPES
from recorder.lake.task import Made, Recipe, Unit
from recorder.lake.write import Added, written
from recorder.record.layout import run_of
from recorder.stream import glance
from recorder.tables import arrivals, normalise
from recorder.tables.normalise import Normaliser
from recorder.tables.rules import Rules


@dataclass(frozen=True, slots=True)
class Where:
    """From where, to where, and how much a task takes at least."""

    raw: Place
    tables: Place
    unit_bytes: int


@dataclass(frozen=True, slots=True)
class Beside:
    """What is known of a feed beside its files at hand."""

    heard: Mapping[str, int]  # runs in the lake, and when (ns) each was last heard of
    ahead: Sequence[Survey] = ()  # of each run the first file that this batch leaves out


def _run(survey: Survey) -> str:
    return run_of(survey.file.stem)


class Share:
    """A feed's usable files, in order, on their way into the tables."""

    def __init__(
        self,
        where: Where,
        writer: Writer,
        rules: Rules,
        surveys: Sequence[Survey],
        beside: Beside,
    ) -> None:
        self.feed = surveys[0].file.feed
        self.made: list[Made] = []
        self.late: list[RawFile] = []  # of these copies may be rows already
        self._where, self._writer, self._beside = where, writer, beside
        self._rules, self._surveys = rules, list(surveys)
        self._books: Mapping[str, pa.Table] | None = None  # of files taken each by itself

    def units(self) -> list[Unit]:
        """What tasks are to take, by the files that there are now."""
        self._books = None
        if not self._surveys:
            return []
        until, several = LAST, self._several()
        if self._keeps_nothing or several:
            with Books(self.feed, self._surveys, self._known) as books:
                alone = self._alone(books) if self._keeps_nothing and books.goes_on else None
                self.late = [self._surveys[place].file for place in books.late] if several else []
                books.fold()
                if several:
                    until = self._heard_until(books)
                if alone and until == LAST and not books.overlaps(self._beside.ahead):
                    self._books = {name: books.rows(name) for name in MARKED}
                    return alone(books)
        until = min([until, *(survey.first_ns for survey in self._beside.ahead)])
        whole = Whole(self._where.tables, self._writer.versions)
        return [replace(self._unit(self._surveys, whole), until_ns=until)]

    def settled(self, made: Sequence[Made]) -> bool:
        """Take the tasks' answers; False if the files that are left have to be taken anew.

        Files taken each by themselves were counted on in the books.
        """
        self.made = list(made)
        left_out = {stem for one in made for stem in one.skipped}
        self._surveys = [one for one in self._surveys if one.file.stem not in left_out]
        return not left_out or self._books is None

    @property
    def left(self) -> list[RawFile]:
        """The files that were not taken to their end."""
        return [file for one in self.made for file in one.left]

    @property
    def files(self) -> int:
        """How many files were taken in."""
        return len(self._surveys) - len(self.left)

    @property
    def frames(self) -> int:
        """How many frames were taken in, markers included."""
        return sum(one.frames for one in self.made) if self._surveys else 0

    @property
    def any(self) -> bool:
        """True if anything was taken in."""
        return self.frames > 0 or self.files > 0

    def added(self) -> list[Added]:
        """The files that make the feed's new rows, and its new books."""
        if not self.any:
            return []
        found = [file for one in self.made for file in one.added]
        if self._books is not None:
            name = self._unit(self._surveys, Whole(self._where.tables, {})).name
            books = {**self._books, "arrivals": self._arrivals()}
            found += [
                file for table, rows in books.items() if (file := self._book(table, rows, name))
            ]
        return found

    # -- deciding

    @property
    def _sql(self) -> Normaliser | None:
        return self._rules.load()

    @property
    def _keeps_nothing(self) -> bool:
        return self._sql is None or glance.can(self._sql)

    def _several(self) -> bool:
        """True if several runs bring files: hosts, or one host's captures."""
        return len({*self._beside.heard, *map(_run, [*self._surveys, *self._beside.ahead])}) > 1

    def _heard_until(self, books: Books) -> int:
        """Up to when every line has told its life; `LAST` if none is waited for."""
        heard = [*self._beside.heard.items()]
        heard += [(_run(survey), survey.last_ns) for survey in self._surveys]
        until = waiting.moment(books.lives(), heard, time.time_ns())
        return until if until <= max(survey.last_ns for survey in self._surveys) else LAST

    def _alone(self, books: Books) -> Callable[[Books], list[Unit]]:
        """Units of some files each, once the books are folded, by what was known before."""
        shares = plan.shares(self._surveys, self._where.unit_bytes)
        seeds = [(books.connections(share), books.before(share)) for share in shares]

        def units(folded: Books) -> list[Unit]:
            return [
                self._unit(
                    [self._surveys[place] for place in share],
                    Alone(*map(transfer.packed, (known, before, folded.instruments(share)))),
                )
                for share, (known, before) in zip(shares, seeds, strict=True)
            ]

        return units

    def _unit(self, surveys: Sequence[Survey], seed: Alone | Whole) -> Unit:
        files = tuple(survey.file for survey in surveys)
        recipe = _recipe(self._rules)
        name = plan.name_of(files, recipe.sql or "")
        return Unit(self._where.raw, self._where.tables, self.feed, name, files, recipe, seed)

    # -- books

    def _known(self, name: str) -> pa.Table:
        return self._writer.rows(name, self.feed)

    def _arrivals(self) -> pa.Table:
        """What a next overlap may begin with: what is near to the end of every later file."""
        place = {survey.file.stem: number for number, survey in enumerate(self._surveys)}
        made = sorted(self.made, key=lambda one: place[one.unit.files[0].stem])
        parts = [(one.last_ns, transfer.opened(one.arrivals)) for one in made]
        latest, kept = None, []
        for last, rows in reversed([(None, self._known("arrivals")), *parts]):
            near = latest - arrivals.MARGIN_NS if latest is not None else -LAST
            known = rows.filter(compute.field("last_ns") >= near)
            kept.append(known.select(SHAPES["arrivals"].in_file.names))
            latest = last if latest is None else max(latest, last or latest)
        return pa.concat_tables(kept)

    def _book(self, table: str, rows: pa.Table, name: str) -> Added | None:
        parts = [rows] if len(rows) else []
        return written(self._where.tables, table, name, parts, feed=self.feed)


def _recipe(rules: Rules) -> Recipe:
    if rules.sql is None:
        return Recipe("", None, rules.whale_usd)
    path = normalise.path_of(rules.sql)
    return Recipe(path.stem, path.read_text("utf-8"), rules.whale_usd)
