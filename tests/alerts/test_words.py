"""Titles and texts: fields of the row, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.alerts.alert import shown
from recorder.alerts.template import Template

VALUES = {"symbol": "BTCUSDT", "notional_usd": 1_234_567.8, "seq": 7, "side": None, "late": True}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{symbol}: ${notional_usd:,.0f}", "BTCUSDT: $1,234,568"),
        ("{side} {seq:>4}", "-    7"),
        ("{{literal}} {late}", "{literal} True"),
        ("no field", "no field"),
        ("", ""),
    ],
)
def test_fields_are_filled_in_and_unknown_is_a_dash(text: str, filled: str) -> None:
    template = Template(text)
    template.check({**VALUES, "side": "long"})
    assert template.fill(VALUES) == filled


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{symbol.__class__}", "is not a field"),
        ("{symbol[0]}", "is not a field"),
        ("{0}", "is not a field"),
        ("{}", "is not a field"),
        ("{symbol:{seq}}", "is not an allowed format"),
        ("{symbol:100000000}", "is not an allowed format"),
        ("{symbl}", "no field {symbl}; there are: late"),
        ("{symbol:,.0f}", "Unknown format code"),
        ("{", "Single '{'"),
        ("}", "Single '}'"),
    ],
)
def test_what_is_no_field_or_no_format_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        Template(text).check(VALUES)
    assert why in str(refused.value)


def test_a_value_that_does_not_fit_its_format_is_shown_without_it() -> None:
    assert Template("{seq:,.0f}").fill({"seq": "many"}) == "many"


@given(st.text(), st.integers(1, 50))
def test_what_a_feed_sends_is_shown_short_and_without_control_characters(
    text: str, most: int
) -> None:
    found = shown(text, most)
    assert len(found) <= most
    assert all(c.isprintable() or c == "\n" for c in found)


@given(st.dictionaries(st.sampled_from(["symbol", "side"]), st.text()))
def test_no_value_is_taken_for_a_template(values: dict[str, str]) -> None:
    said = Template("{symbol}|{side}").fill(values)
    assert said == "|".join(values.get(name, "-") for name in ("symbol", "side"))
