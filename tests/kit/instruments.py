"""What a test compares of a venue's list of instruments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from recorder.feed import Instrument


def sizes(found: tuple[Iterable[Instrument], object]) -> tuple[list[Instrument], object]:
    """Return an answer of `Catalogue.read` with names, sizes and intervals alone."""
    instruments, more = found
    return [
        Instrument(
            one.symbol,
            one.name,
            one.contract_size,
            one.contract_unit,
            one.funding_interval_hours,
        )
        for one in instruments
    ], more


def names(found: tuple[Iterable[Instrument], object]) -> list[Instrument]:
    """Return the instruments of an answer without what `sizes` returns."""
    instruments, _ = found
    sizeless = {"contract_size": None, "contract_unit": None, "funding_interval_hours": None}
    return [replace(one, **sizeless) for one in instruments]  # type: ignore[arg-type]
