"""The fault suite at full scale, and the publication of its figures.

    python -m benchmarks.reliability                 # everything, about a quarter of an hour
    python -m benchmarks.reliability --quick         # a few tries of each class
    python -m benchmarks.reliability --only "power cut" --seed 7
    python -m benchmarks.reliability --json          # one JSON object on stdout

Run it from the repository's root on Linux. It skips classes that need root or a missing tool, and
says so. A full run of all classes also writes benchmarks/reliability.json and the table in
docs/reliability.md; `--publish` does so for some classes. Exit code 1: a fault was not survived.
"""

import argparse
import json
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from pathlib import Path

from benchmarks.machine import describe

_ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(_ROOT / "tests"))

from torture.outcome import CannotRunHereError, Outcome, Scale  # noqa: E402
from torture.suite import CLASSES  # noqa: E402

RESULTS = _ROOT / "benchmarks" / "reliability.json"
DOCUMENT = _ROOT / "docs" / "reliability.md"
_BEGIN, _END = "<!-- figures: begin -->", "<!-- figures: end -->"
_COLUMNS = ("tried", "survived", "acknowledged", "recovered", "lost", "duplicated", "altered")


def main() -> int:
    """Run the chosen classes; return the exit code."""
    options = _arguments()
    scale = Scale.SHORT if options.quick else Scale.FULL
    names = options.only or list(CLASSES)
    results = {name: _run(name, options.seed, scale) for name in names}
    report = {
        "command": "python -m benchmarks.reliability" + f" --seed {options.seed}",
        "scale": scale.value,
        "seed": options.seed,
        "machine": _machine(),
        "classes": results,
        "totals": _totals(results),
    }
    if options.json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        print(table(results))
    if scale is Scale.FULL and (options.publish or not options.only):
        publish(report)
    return 0 if all(result.get("sound", True) for result in results.values()) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few tries of each class")
    parser.add_argument("--only", action="append", choices=list(CLASSES), metavar="CLASS")
    parser.add_argument("--seed", type=int, default=1, help="replays a run's random choices")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument(
        "--publish", action="store_true", help="merge these classes into the published figures"
    )
    return parser.parse_args()


def _run(name: str, seed: int, scale: Scale) -> dict[str, object]:
    print(f"{name}, seed {seed} …", end=" ", file=sys.stderr, flush=True)
    start = time.monotonic()
    try:
        outcome = CLASSES[name](seed, scale)
    except CannotRunHereError as reason:
        print(f"left out: {reason}", file=sys.stderr)
        return {"skipped": str(reason)}
    except Exception as error:  # an error of the suite counts as a failure of this class
        traceback.print_exc()
        outcome = Outcome(tried=1, notes=[f"{type(error).__name__}: {error}"])
    took = round(time.monotonic() - start, 1)
    print("ok" if outcome.sound else f"FAILED {outcome.notes[:3]}", f"{took} s", file=sys.stderr)
    return {**asdict(outcome), "sound": outcome.sound, "seed": seed, "seconds": took}


def _machine() -> dict[str, object]:
    machine = describe(Path(tempfile.gettempdir()))
    return {key: value for key, value in machine.items() if key != "load_before"}


def _totals(results: dict[str, dict[str, object]]) -> dict[str, int]:
    ran = [result for result in results.values() if "skipped" not in result]
    return {column: sum(int(str(result[column])) for result in ran) for column in _COLUMNS}


def table(results: dict[str, dict[str, object]]) -> str:
    """Return the figures as a Markdown table."""
    heads = ("fault", *_COLUMNS, "figures")
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, result in results.items():
        if "skipped" in result:
            lines.append(f"| {name} | left out: {result['skipped']} |" + " |" * (len(heads) - 2))
            continue
        numbers = (f"{result[column]:,}" for column in _COLUMNS)
        lines.append(f"| {name} | {' | '.join(numbers)} | {_figures(result)} |")
    totals = (f"**{count:,}**" for count in _totals(results).values())
    return "\n".join([*lines, f"| **all** | {' | '.join(totals)} | |"])


def _figures(result: dict[str, object]) -> str:
    figures = result["figures"]
    assert isinstance(figures, dict)
    return "; ".join(f"{name}: {value:,g}" for name, value in figures.items())


def publish(report: dict[str, object]) -> None:
    """Write the JSON file, and the table between the two markers of the document."""
    classes = report["classes"]
    assert isinstance(classes, dict)
    if RESULTS.exists() and len(classes) < len(CLASSES):
        known = json.loads(RESULTS.read_text("utf-8"))["classes"] | classes
        report["classes"] = classes = {name: known[name] for name in CLASSES if name in known}
        report["totals"] = _totals(classes)
    text = json.dumps(report, indent=2, ensure_ascii=False)
    RESULTS.write_text(text + "\n", "utf-8")
    machine = report["machine"]
    assert isinstance(machine, dict)
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    where = (
        f"`{report['command']}` on {machine['cores']} cores ({machine['cpu']}), "
        f"{machine['memory_gb']} GB, {machine['file_system']}, {machine['kernel']}, "
        f"{machine['python']}; {libraries}."
    )
    before, _, rest = DOCUMENT.read_text("utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    figures = f"{_BEGIN}\n\n{where}\n\n{table(classes)}\n\n{_END}"
    DOCUMENT.write_text(f"{before}{figures}{after}", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
