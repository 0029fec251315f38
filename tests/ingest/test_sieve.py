"""Finding the frames that break a feed's SQL."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recorder.tables import bisect


@given(st.lists(st.booleans(), max_size=300))
def test_exactly_the_bad_rows_are_found_in_order(good: list[bool]) -> None:
    bad = [row for row, fine in enumerate(good) if not fine]
    asked: list[int] = []

    def fails(start: int, end: int) -> bool:
        asked.append(start)
        return not all(good[start:end])

    found = bisect.broken(fails, len(good))
    if good[:32] == [False] * 32:
        assert found is None and max(asked) < 32
    else:
        assert found == bad


def test_sql_that_fails_on_every_frame_is_known_after_few_tries() -> None:
    tried: list[int] = []

    def fails(start: int, end: int) -> bool:
        tried.append(end - start)
        return True

    assert bisect.broken(fails, 1 << 20) is None
    assert len(tried) < 100
