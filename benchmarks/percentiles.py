"""The definition of percentiles for all figures."""

from collections.abc import Iterable


def percentiles(nanoseconds: Iterable[int]) -> dict[str, float]:
    """Return p50, p90, p99 and max in milliseconds (nearest rank)."""
    ordered = sorted(nanoseconds)
    if not ordered:
        raise ValueError("no frames, so no percentiles")
    last = len(ordered) - 1
    ranks = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: round(ordered[round(rank * last)] / 1e6, 4) for name, rank in ranks.items()}
