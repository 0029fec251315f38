"""Makes an environment for each third-party client of the matrix.

    python tests/clients/environments.py DIRECTORY

Exit code 0: all are there. 75: one cannot be made here, and stderr says why.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

#: Versions of DuckDB that read the published database, or say why not.
DUCKDB = ("1.3.2", "1.4.2", "1.5.6")

#: Environment -> what is installed in it. Two clients of Binance use one name for their package.
PYTHON = {
    "sdks": [
        "ccxt==4.5.90",
        "hyperliquid-python-sdk==0.24.0",
        "pybit==5.17.0",
        "python-binance==1.0.37",
        "python-okx==0.4.4",
    ],
    "connector": ["binance-futures-connector==4.2.0"],
    **{f"duckdb-{version}": [f"duckdb=={version}", "pytz"] for version in DUCKDB},
}
NODE = ["tardis-dev@13.35.3", "binance@3.6.5", "bybit-api@4.7.7", "okx-api"]
CANNOT = 75


def main(root: Path) -> int:
    """Make what is missing."""
    root = root.resolve()
    for name, packages in PYTHON.items():
        place = root / name
        pip = [str(place / "bin/python"), "-m", "pip", "install", "--quiet", *packages]
        steps = ([sys.executable, "-m", "venv", str(place)], pip)
        if not _made(place, packages, steps):
            return CANNOT
    npm = shutil.which("npm")
    if npm is None:
        print("node: npm is not installed here", file=sys.stderr)
        return CANNOT
    place = root / "node"
    install = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(place), *NODE]
    return 0 if _made(place, NODE, (install,)) else CANNOT


def _made(place: Path, packages: Sequence[str], steps: Sequence[list[str]]) -> bool:
    done = place / "made"
    if done.exists() and json.loads(done.read_text()) == list(packages):
        return True
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for command in steps:
        if subprocess.run(command, check=False).returncode:
            print(f"{place.name}: cannot be made: {' '.join(command)}", file=sys.stderr)
            return False
    done.write_text(json.dumps(list(packages)))
    return True


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
