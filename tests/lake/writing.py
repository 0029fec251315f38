"""`python writing.py RAW TABLES PEOPLE`: one of several hosts, each filling the same lake.

Its files come one after the other, and each is taken in by itself. Who finds another at work tries
again a little later, as somebody's cron would. Says how often it had to.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lake import worlds
from recorder.errors import BusyError
from recorder.lake.place import Place


def main(raw: Path, tables: str) -> int:
    """Take in what lies in `aside`, file by file; how often another was at work."""
    one = worlds.engine(raw, tables=Place.of(tables))
    waited = 0
    for path in sorted((raw / "aside").glob("*/*/*.parquet")):
        target = raw / "raw" / path.relative_to(raw / "aside")
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        while True:
            try:
                done = worlds.take(one)
            except BusyError:
                waited += 1
                time.sleep(random.uniform(0.01, 0.2))
                continue
            assert done.files == 1, done
            break
    return waited


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), sys.argv[2]))
