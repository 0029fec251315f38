"""Ingest of several data directories, one after the other, in a separate process.

`python -m benchmarks.ingested local|MASTER STARTED DIRECTORY…` prints one JSON object: `cold` is
the time of the first directory, from STARTED (the start of the process, s since epoch) to its last
row; `warm` has the time of each directory once more, without the start-up.
"""

import contextlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from recorder.record.layout import Layout
from recorder.tables.ingest import Ingest
from recorder.tables.rules import Rules

Run = Callable[[Layout], int]


def main() -> None:
    """Measure the directories of the command line; print the figures."""
    master, started, *places = sys.argv[1:]
    layouts = [Layout(Path(place)) for place in places]
    with engine(master) as run:
        run(layouts[0])
        cold = time.time() - float(started)
        warm = []
        for layout in layouts:
            begin = time.perf_counter()
            frames = run(layout)
            warm.append({"seconds": time.perf_counter() - begin, "frames": frames})
    print(json.dumps({"cold": cold, "warm": warm}))


@contextlib.contextmanager
def engine(master: str) -> Iterator[Run]:
    """Yield the function that rebuilds a directory's tables: with DuckDB alone or a cluster."""
    if master == "local":
        yield local
        return
    from recorder.lake.spark import session

    with session(master) as cluster:
        yield lambda layout: lake(layout, cluster)


def local(layout: Layout) -> int:
    """Rebuild the private database of one machine, without publishing; return the frames."""
    shutil.rmtree(layout.work, ignore_errors=True)
    with contextlib.closing(Ingest(layout, Rules)) as work:
        return work.run()


def lake(layout: Layout, cluster: Callable[..., object]) -> int:
    """Ingest into the Delta tables of a new lake beside the raw files; return the frames."""
    from recorder.lake.delta import Writer
    from recorder.lake.place import Place
    from recorder.lake.run import Engine

    shutil.rmtree(layout.root / "lake", ignore_errors=True)
    raw, tables = Place.of(str(layout.raw)), Place.of(str(layout.root / "lake"))
    spark = Engine(raw, tables, lambda feed, kind: Rules(kind), cluster)
    with Writer(tables) as writer:
        return spark.run(writer).frames


if __name__ == "__main__":
    main()
