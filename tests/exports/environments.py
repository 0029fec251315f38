"""Makes an environment for each program that reads exports; they cannot share one.

    python tests/exports/environments.py DIRECTORY

Exit code 0: all are there. 75: one cannot be made here, and stderr says why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

#: Environment -> what is installed in it, and the Python that this needs (from, below).
NEEDS = {
    "nautilus": (["nautilus_trader==1.231.*"], (3, 12), (3, 15)),
    "hftbacktest": (["hftbacktest==2.4.4", "numpy<2.3"], (3, 11), (3, 14)),
    "ccxt": (["ccxt==4.5.90"], (3, 11), (3, 15)),
    "cryptofeed": (["cryptofeed==2.4.1"], (3, 11), (3, 14)),
    "candles": (["backtesting==0.6.6", "pandas", "pyarrow"], (3, 11), (3, 15)),
}
#: What npm installs below `node`; its tests are skipped where there is no npm.
NODE = ["tardis-dev@13.35.3"]
CANNOT = 75


def main(root: Path) -> int:
    """Make what is missing."""
    for name, (packages, low, high) in NEEDS.items():
        done = root / name / "made"
        if done.exists() and done.read_text() == repr(packages):
            continue
        found = next(interpreters(low, high), None)
        if found is None:
            print(f"{name}: no Python from {low} below {high} is here", file=sys.stderr)
            return CANNOT
        shutil.rmtree(root / name, ignore_errors=True)
        pip = [str(root / name / "bin/python"), "-m", "pip", "install", "--quiet"]
        for command in ([found, "-m", "venv", str(root / name)], [*pip, *packages]):
            if subprocess.run(command, check=False).returncode:
                print(f"{name}: cannot be made: {' '.join(command)}", file=sys.stderr)
                return CANNOT
        done.write_text(repr(packages))
    return with_npm(root / "node")


def with_npm(place: Path) -> int:
    """Install what Node runs; return an exit code."""
    npm, done = shutil.which("npm"), place / "made"
    if npm is None or (done.exists() and done.read_text() == repr(NODE)):
        return 0
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    install = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(place)]
    if subprocess.run([*install, *NODE], check=False).returncode:
        print("node: cannot be made", file=sys.stderr)
        return CANNOT
    done.write_text(repr(NODE))
    return 0


def interpreters(low: tuple[int, int], high: tuple[int, int]) -> Iterator[str]:
    """Interpreters that run, of a version from `low` and below `high`, the newest first."""
    versions = [(3, minor) for minor in range(high[1] - 1, low[1] - 1, -1)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for major, minor in versions:
        candidates = [sys.executable, shutil.which(f"python{major}.{minor}")]
        candidates += [str(path) for path in sorted(pyenv.glob(f"{major}.{minor}.*/bin/python"))]
        for candidate in filter(None, candidates):
            code = "import sys; print(sys.version_info[:2])"
            run = subprocess.run(
                [candidate, "-c", code], capture_output=True, text=True, check=False
            )
            if run.stdout.strip() == f"({major}, {minor})":
                yield candidate


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
