"""A driver that dies: runs an engine in this process and ends it right after a chosen commit.

python dying.py DATA_DIR NUMBER      # with SIGKILL's manners: nothing is cleaned up
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import deltalake

from lake import worlds

#: How the process says that it died where it was told to.
DIED = 77


def main(root: Path, number: int) -> None:
    """Run to the commit of this number, from 1; to the end if there are fewer."""
    left = number

    def dying(commit: Any) -> Any:
        def committed(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            found = commit(*arguments, **named)
            left -= 1
            if left == 0:
                os._exit(DIED)
            return found

        return committed

    # Every door through which the lake's log is written.
    deltalake.write_deltalake = dying(deltalake.write_deltalake)
    table: Any = deltalake.DeltaTable
    table.create_write_transaction = dying(table.create_write_transaction)
    table.restore = dying(table.restore)
    table.create = dying(table.create)
    worlds.take(worlds.engine(root, batch_bytes=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
