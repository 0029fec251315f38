"""Seeded listing announcements: invented tokens in the wording of real titles."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta

__all__ = ["LISTING_TYPES", "PUBLISHERS", "Announcement", "draw"]

PUBLISHERS: dict[str, float] = {"binance": 0.6, "upbit": 0.22, "bithumb": 0.18}
"""The exchanges that announce listings, with their shares of the announcements."""

LISTING_TYPES: tuple[str, ...] = (
    "spot_listing",
    "spot_delisting",
    "futures_listing",
    "futures_delisting",
    "hodler_airdrop",
    "monitoring_tag_extend",
    "monitoring_tag_remove",
    "caution_released",
    "not_listing",
)
"""Every value that `listingType` takes."""

# publisher -> listing type -> (weight, most tickers at once, titles)
_TITLES: dict[str, dict[str, tuple[float, int, tuple[str, ...]]]] = {
    "binance": {
        "spot_listing": (
            30,
            3,
            ("Binance Will List {each}", "Binance Will List {each} with Seed Tag Applied"),
        ),
        "spot_delisting": (8, 5, ("Binance Will Delist {tickers} on {date}",)),
        "futures_listing": (
            22,
            2,
            (
                "Binance Futures Will Launch USDⓈ-Margined {pairs} Perpetual Contracts "
                "with up to 50x Leverage",
            ),
        ),
        "futures_delisting": (6, 4, ("Binance Futures Will Delist USDⓈ-M {pairs} Perpetuals",)),
        "hodler_airdrop": (
            8,
            1,
            (
                "Introducing {each} on Binance HODLer Airdrops! Earn {tickers} With Retroactive "
                "BNB Simple Earn Subscriptions",
            ),
        ),
        "monitoring_tag_extend": (
            5,
            6,
            ("Binance Will Extend the Monitoring Tag to Include {tickers}",),
        ),
        "monitoring_tag_remove": (3, 4, ("Binance Will Remove the Monitoring Tag for {tickers}",)),
        "not_listing": (
            12,
            0,
            (
                "Notice on the Wallet Maintenance for the {name} Network",
                "Trade {name} and Share a Reward Pool of 500,000 USDC",
            ),
        ),
    },
    "upbit": {
        "spot_listing": (40, 2, ("{korean} 신규 거래지원 안내 (KRW, BTC, USDT 마켓)",)),
        "spot_delisting": (10, 1, ("{korean} 거래지원 종료 안내 ({date} 15:00)",)),
        "caution_released": (10, 1, ("{korean} 거래 유의 종목 지정 해제 안내",)),
        "not_listing": (20, 0, ("{name} 네트워크 입출금 일시 중단 안내",)),
    },
    "bithumb": {
        "spot_listing": (40, 2, ("[마켓 추가] {korean} 원화 마켓 추가",)),
        "spot_delisting": (10, 2, ("{korean} 거래지원 종료",)),
        "caution_released": (8, 1, ("{korean} 거래유의종목 지정 해제",)),
        "not_listing": (16, 0, ("[이벤트] {name} 거래하고 에어드랍 받자!",)),
    },
}
_SYLLABLES = ("al", "bri", "cor", "dex", "ev", "fra", "gno", "hy", "lum", "mor", "nex", "or",
              "pra", "qua", "rin", "sol", "tar", "vel", "xan", "yu", "zen")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Announcement:
    """One announcement of a publisher.

    `ticker` is one ticker, several separated by commas, or empty if the announcement names none.
    """

    publisher: str
    listing_type: str
    ticker: str
    title: str


def draw(rng: random.Random, today: date) -> Announcement:
    """Return the next invented announcement; a date in it is within two weeks of `today`."""
    publisher = rng.choices(tuple(PUBLISHERS), tuple(PUBLISHERS.values()))[0]
    kinds = _TITLES[publisher]
    listing_type = rng.choices(tuple(kinds), [kind[0] for kind in kinds.values()])[0]
    _, most, titles = kinds[listing_type]
    names = [_name(rng) for _ in range(_count(rng, most))]
    title = rng.choice(titles).format(**_words(rng, names, today))
    return Announcement(publisher, listing_type, ",".join(map(_ticker, names)), title)


def _count(rng: random.Random, most: int) -> int:
    """Return a number of tickers: mostly 1, sometimes up to 6, at most `most`."""
    return min(most, 1 if rng.random() < 0.75 else rng.randint(2, 6))


def _name(rng: random.Random) -> str:
    return "".join(rng.sample(_SYLLABLES, rng.randint(2, 3))).capitalize()


def _ticker(name: str) -> str:
    """Return a ticker of a name's first letter and consonants: LMZN for Lumzen."""
    upper = name.upper()
    letters = upper[0] + "".join(letter for letter in upper[1:] if letter not in "AEIOUY")
    return (letters if len(letters) > 2 else upper)[:5]


def _words(rng: random.Random, names: list[str], today: date) -> dict[str, str]:
    """Return the phrases of the titles; `{each}` is 'Lumzen (LMZN) and Corvel (CRVL)'."""
    tickers = [_ticker(name) for name in names]
    both = list(zip(names, tickers, strict=True))
    return {
        "name": names[0] if names else _name(rng),
        "each": _listed([f"{name} ({ticker})" for name, ticker in both]),
        "korean": ", ".join(f"{name}({ticker})" for name, ticker in both),
        "tickers": ", ".join(tickers),
        "pairs": _listed([f"{ticker}USDT" for ticker in tickers]),
        "date": (today + timedelta(days=rng.randint(1, 14))).isoformat(),
    }


def _listed(items: list[str]) -> str:
    """Join items as in English: 'A', 'A and B', 'A, B and C'."""
    head, last = items[:-1], items[-1:]
    return " and ".join([", ".join(head), *last]) if head else "".join(last)
