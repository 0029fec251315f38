import random
import re
import statistics
from itertools import pairwise

import pytest

from recorder.simulate.market import SYMBOLS, MarketEvent, SimulatedMarket, latency_ns, power_law

NOW_NS = 1_800_000_000_000_000_000


def market(seed: int = 1) -> SimulatedMarket:
    return SimulatedMarket(random.Random(seed), lambda: NOW_NS)


def events(channel: str, count: int = 300) -> list[MarketEvent]:
    one = market()
    return [one.event(channel) for _ in range(count)]


def test_equal_seeds_tell_equal_events() -> None:
    channels = [*sorted(market().channels), "whales:BTC"] * 20
    first, second = market(7), market(7)
    assert [first.event(c) for c in channels] == [second.event(c) for c in channels]


def test_prices_walk_in_small_steps() -> None:
    one = market()
    prices = [one.price("BTC") for _ in range(1000)]
    steps = [abs(b / a - 1) for a, b in pairwise(prices)]
    assert 0 < max(steps) < 0.01


def test_an_unknown_symbol_trades_from_one_dollar() -> None:
    assert market().price("NEWCOIN") == pytest.approx(1, rel=0.01)


def test_sizes_follow_a_power_law_with_a_cap() -> None:
    rng = random.Random(3)
    sizes = sorted(power_law(rng, 100, 1.1, 1e6) for _ in range(5000))
    assert sizes[0] >= 100
    assert sizes[-1] <= 1e6
    assert sizes[-50] > 20 * statistics.median(sizes)


def test_latencies_are_positive_with_the_stated_median() -> None:
    rng = random.Random(4)
    drawn = [latency_ns(rng, 80, 0.6) for _ in range(4000)]
    assert min(drawn) > 0
    assert statistics.median(drawn) == pytest.approx(80e6, rel=0.1)


def test_whales_have_wallets_that_come_back() -> None:
    wallets = [str(event.fields["wallet"]) for event in events("whales:SOL")]
    assert all(re.fullmatch("0x[0-9a-f]{40}", wallet) for wallet in wallets)
    assert len(set(wallets)) < len(wallets)


def test_a_whale_channel_speaks_of_its_own_asset() -> None:
    assert {event.fields["asset"] for event in events("whales:SOL", 5)} == {"SOL"}


def test_busy_symbols_lead() -> None:
    seen = [event.fields["symbol"] for event in events("derivatives:liquidations", 2000)]
    assert set(seen) == set(SYMBOLS)
    assert seen.count("BTC") > seen.count("PEPE")


def test_funding_rates_stay_plausible_fractions() -> None:
    rates = [event.fields["rate"] for event in events("derivatives:funding", 2000)]
    assert all(isinstance(rate, float) and abs(rate) < 0.01 for rate in rates)


@pytest.mark.parametrize("channel", [*sorted(market().channels), "whales:BTC"])
def test_every_event_happened_before_it_is_told(channel: str) -> None:
    for event in events(channel, 50):
        assert event.channel == channel
        assert isinstance(event.extra["timestamp"], int)
        assert event.extra["timestamp"] <= NOW_NS // 1_000_000


def test_a_channel_that_does_not_exist_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        market().event("derivatives:nothing")
