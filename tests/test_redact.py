"""No secret comes through, however it is spelled."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from recorder.redact import HIDDEN, Redactor, added_by, safe_url

KEY = 'dsk_0/9+a b"c\\d&é€😀'

SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": json.dumps,
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON of msgspec": lambda text: msgspec.json.encode(text).decode(),
    "JSON with escaped slashes": lambda text: json.dumps(text).replace("/", "\\/"),
    "percent-encoded": lambda text: quote(text, ""),
    "percent-encoded, a path": quote,
    "percent-encoded, lower case": lambda text: quote(text, "").replace("%C3%A9", "%c3%a9"),
    "form-encoded": quote_plus,
    "form-encoded, some left alone": lambda text: urlencode({"k": text}, safe=",/"),
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS.keys())
@pytest.mark.parametrize("secret", [KEY, "simple-key-1", "with,comma/and+plus", "two words"])
def test_every_spelling_of_a_secret_is_hidden(spell: Callable[[str], str], secret: str) -> None:
    text = f"before {spell(secret)} between {spell(secret)} after"
    hidden = Redactor([secret])(text)
    assert hidden.count(HIDDEN) == 2
    assert spell(secret).strip('"').removeprefix("k=") not in hidden
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")


@given(
    secret=st.text(min_size=8, max_size=40),
    spell=st.sampled_from(list(SPELLINGS.values())),
    around=st.text("abc {}:,", max_size=10),
)
def test_any_secret_is_hidden(secret: str, spell: Callable[[str], str], around: str) -> None:
    assume(secret == secret.strip('"'))  # below, quotes are JSON's
    try:
        spelled = spell(secret).strip('"').removeprefix("k=")
    except UnicodeEncodeError:  # a lone surrogate fits into no URL
        assume(False)
    assume(len(spelled) >= 8 and spelled not in f"{around}{HIDDEN}{around}")
    assert spelled not in Redactor([secret])(around + spelled + around)


def test_the_longer_of_two_secrets_goes_first() -> None:
    assert Redactor(["secret", "secret-and-more"])("a secret-and-more!") == f"a {HIDDEN}!"


def test_a_message_with_its_secret_hidden_is_still_json() -> None:
    message = json.dumps({"type": "auth", "api_key": KEY})
    assert json.loads(Redactor([KEY])(message)) == {"type": "auth", "api_key": HIDDEN}


@pytest.mark.parametrize("key", ["any", "x", "exit", "a b"])
def test_a_key_too_short_for_one_is_hidden_where_it_is_a_word_and_leaves_other_words(
    key: str,
) -> None:
    hide = Redactor([key])
    plain = "exits many extras"
    assert hide(plain) == plain
    for written in (f"key={key}", f"{key} said", f"q%3D{quote(key)}%26", json.dumps(f"\n{key}")):
        assert HIDDEN in hide(written)


@pytest.mark.parametrize("secrets", [[], [""], ["", ""]])
def test_without_secrets_nothing_is_changed(secrets: list[str]) -> None:
    assert Redactor(secrets)("anything at all") == "anything at all"


def test_other_text_is_left_alone() -> None:
    assert Redactor([KEY])("dsk_ 0/9 is no key") == "dsk_ 0/9 is no key"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://example.org/ws", "wss://example.org/ws"),
        ("wss://example.org", "wss://example.org"),
        ("wss://h/ws?token=s3cret&cex=binance,upbit", "wss://h/ws?token=***&cex=***"),
        ("wss://h/ws?s3cret", "wss://h/ws?***"),
        ("wss://h/ws?=s3cret", "wss://h/ws?***"),
        ("wss://h/ws?a=1;s3cret", "wss://h/ws?a=***"),
        ("wss://user:s3cret@h:8443/ws", "wss://h:8443/ws"),
        ("wss://s3cret@h/ws", "wss://h/ws"),
        ("wss://h/ws#s3cret", "wss://h/ws"),
        ("ws://[::1]:80/ws", "ws://[::1]:80/ws"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert safe_url(url) == shown


def test_a_secret_learned_later_is_hidden_beside_the_earlier_ones() -> None:
    redactor = Redactor(["an earlier secret"])
    redactor.learn(["a later secret", ""])
    assert redactor("an earlier secret, a later secret") == f"{HIDDEN}, {HIDDEN}"


def test_what_a_signature_adds_to_a_url_is_secret_and_its_endpoint_and_numbers_are_not() -> None:
    endpoint = "wss://example.org/market-data?streams=everything"
    signed = f"{endpoint}&time=1790000000123&short=abc&signature=c2lnbmVk%2Fbytes"
    added = added_by(signed, endpoint)
    assert {"c2lnbmVk%2Fbytes", "c2lnbmVk/bytes"} <= added
    assert not added & {"everything", "market-data", "1790000000123", "abc"}
