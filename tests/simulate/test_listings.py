import random
from datetime import date

from recorder.simulate.listings import LISTING_TYPES, PUBLISHERS, Announcement, draw

TODAY = date(2026, 11, 21)


def drawn(count: int = 3000, seed: int = 1) -> list[Announcement]:
    rng = random.Random(seed)
    return [draw(rng, TODAY) for _ in range(count)]


def test_equal_seeds_draw_equal_listings() -> None:
    assert drawn(50) == drawn(50)


def test_every_listing_type_and_publisher_occurs() -> None:
    listings = drawn()
    assert {one.listing_type for one in listings} == set(LISTING_TYPES)
    assert {one.publisher for one in listings} == set(PUBLISHERS)


def test_tickers_are_capitals_and_stand_in_the_title() -> None:
    for one in drawn():
        for ticker in filter(None, one.ticker.split(",")):
            assert ticker.isascii()
            assert ticker.isupper()
            assert ticker in one.title


def test_some_announcements_name_several_tickers() -> None:
    several = [one for one in drawn() if "," in one.ticker]
    assert 0 < len(several) < 1000


def test_only_what_is_no_listing_names_no_ticker() -> None:
    for one in drawn():
        assert (one.ticker == "") == (one.listing_type == "not_listing")


def test_binance_lists_in_its_own_words_and_upbit_in_korean() -> None:
    spot = [one for one in drawn() if one.listing_type == "spot_listing"]
    titles = {one.publisher: one.title for one in spot}
    assert titles["binance"].startswith("Binance Will List ")
    assert not titles["upbit"].isascii()
