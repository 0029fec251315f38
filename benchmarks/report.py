"""Reports: medians over rounds, their bounds, and tables."""

from dataclasses import asdict, dataclass
from statistics import median

from rich.console import Console
from rich.table import Table

Figures = dict[str, object]


@dataclass(frozen=True)
class Bar:
    """A figure and the bound that it should keep."""

    name: str
    value: float
    bound: str
    passed: bool


def medians(rounds: list[Figures]) -> Figures:
    """Return the median of each figure over the rounds, including nested figures."""
    return {
        name: medians([figures[name] for figures in rounds])
        if isinstance(value, dict)
        else round(median(figures[name] for figures in rounds), 4)
        for name, value in rounds[0].items()
    }


def ratio(rounds: list[dict[str, Figures]]) -> float:
    """Return the median of the rounds' ratios: the machine's speed varies less within a round."""
    rate = "frames_per_second"
    return round(median(each["recorder"][rate] / each["bare recv"][rate] for each in rounds), 4)


def at_least(name: str, value: float, bound: float) -> Bar:
    """Return a bar that the value must reach."""
    return Bar(name, value, f">= {bound:g}", value >= bound)


def below(name: str, value: float, bound: float) -> Bar:
    """Return a bar that the value must stay below."""
    return Bar(name, value, f"< {bound:g}", value < bound)


def at_most(name: str, value: float, bound: float) -> Bar:
    """Return a bar that the value must not exceed."""
    return Bar(name, value, f"<= {bound:g}", value <= bound)


def flood_bars(flood: Figures) -> list[Bar]:
    """Compare the flood's medians with their bounds."""
    return [
        at_least("flood: recorder / bare recv, frames/s", flood["ratio"], 1.0),
        below("flood: capture's peak memory, MB", flood["recorder"]["peak_mb"], 150),
    ]


def paced_bars(paced: dict[str, Figures]) -> list[Bar]:
    """Compare the paced medians with their bounds."""
    slow, fast = paced["1000"]["recorder"], paced["10000"]["recorder"]
    return [
        below("1,000/s: latency p50, ms", slow["latency_ms"]["p50"], 0.3),
        below("1,000/s: latency p99, ms", slow["latency_ms"]["p99"], 2),
        below("1,000/s: CPU, % of a core", slow["cpu_percent"], 20),
        below("10,000/s: latency p99, ms", fast["latency_ms"]["p99"], 5),
        below("10,000/s: CPU, % of a core", fast["cpu_percent"], 60),
    ]


def show_machine(console: Console, machine: Figures) -> None:
    """Print the machine, and the share of it that other processes used."""
    console.print(
        f"{machine['cpu']}, {machine['cores']} cores, {machine['kernel']}, "
        f"{machine['file_system']}, {machine['python']}; "
        f"other processes used {machine['others_share']:.0%} of it"
    )


def show_bars(console: Console, bars: list[Figures], title: str = "") -> None:
    """Print the bars with their verdicts."""
    table = Table("bar", "value", "bound", "", title=title)
    for bar in bars:
        verdict = "[green]pass[/]" if bar["passed"] else "[red]FAIL[/]"
        table.add_row(bar["name"], f"{bar['value']:.3g}", bar["bound"], verdict)
    console.print(table)


def show(result: Figures) -> None:
    """Print the result as tables."""
    console = Console()
    show_machine(console, result["machine"])
    if "flood" in result:
        console.print(_flood_table(result["flood"], result["settings"]["frames"]))
    if "paced" in result:
        console.print(_paced_table(result["paced"]))
    show_bars(console, result["bars"], "Bars")


def as_rows(bars: list[Bar]) -> list[Figures]:
    """Return bars as plain data."""
    return [asdict(bar) for bar in bars]


def _flood_table(flood: Figures, frames: int) -> Table:
    table = Table(title=f"Flood: {frames:,} frames as fast as they are read (medians)")
    columns = {
        "frames/s": ("frames_per_second", "{:,.0f}"),
        "CPU s/M": ("cpu_seconds_per_million", "{:.2f}"),
        "wait s": ("core_wait_seconds", "{:.2f}"),
        "MB": ("peak_mb", "{:.0f}"),
        "child MB": ("children_peak_mb", "{:.0f}"),
        "child s": ("children_cpu_seconds", "{:.2f}"),
        "sealed s": ("sealed_seconds", "{:.1f}"),
    }
    table.add_column("subject", no_wrap=True)
    for title in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for subject, figures in flood.items():
        if isinstance(figures, dict):
            cells = (_cell(figures, name, form) for name, form in columns.values())
            table.add_row(subject, *cells)
    return table


def _paced_table(paced: dict[str, Figures]) -> Table:
    table = Table(title="Paced: receive timestamp minus send time, ms (medians)")
    table.add_column("frames/s, subject")
    for title in ("p50", "p90", "p99", "max", "CPU %", "late p99"):
        table.add_column(title, justify="right")
    for rate, subjects in paced.items():
        for subject, figures in subjects.items():
            latency, late = figures["latency_ms"], figures["late_ms"]
            table.add_row(
                f"{int(rate):,} {subject}",
                *(f"{latency[name]:.3f}" for name in ("p50", "p90", "p99", "max")),
                f"{figures['cpu_percent']:.1f}",
                f"{late['p99']:.3f}",
            )
    return table


def _cell(figures: Figures, name: str, form: str) -> str:
    return form.format(figures[name]) if name in figures else ""
