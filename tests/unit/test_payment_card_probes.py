"""One definition of a payment card: what is refused and what is masked are the same, in a table."""

import json

import pytest

from posstream.domain.customer import InvalidCustomer, read_customer, scrub
from posstream.domain.identifier import InvalidIdentifier, normalise
from posstream.domain.payment_card import (
    holds_payment_card,
    mask_payment_cards,
    mask_payment_cards_in_bytes,
)

PAN = "4111111111111111"
GROUPS = ("4111", "1111", "1111", "1111")

#: Neither letter nor digit: each may stand between the groups of a number.
SEPARATORS = (
    *(" ", "  ", "-", ".", ",", "_", "/", "\\", "|", ":", ";", "*", "#", "+", "=", "'", '"', "~"),
    *("\t", "\n", "\r\n", "\v", "\f", "\0", "\x1f", "\x7f", "\x85", "()", "[]", " - ", "\u00b7"),
    *("\u00a0", "\u1680", "\u2000", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006", "\u2007"),
    *("\u2008", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"),
    *("\u00ad", "\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u202a", "\u202e", "\u2060"),
    *("\ufeff", "\u061c", "\u180e", "\u2066", "\u2069", "\U000e0020"),
    *("\u2010", "\u2011", "\u2012", "\u2013", "\u2014", "\u2015", "\u2212", "\ufe58", "\uff0d"),
    *("\u2022", "\u20e3", "\u0301", "\u00a4", "\U0001f4b3"),
)
#: Digits of other scripts, by their zero.
ZEROS = ("\uff10", "\u0660", "\u06f0", "\u0966", "\u09e6", "\u0e50", "\u1040", "\U0001d7ce")
#: Escapes of a separator, by where they are decoded.
ESCAPED_SEPARATORS = (
    *(r"\u0020", r"\u00a0", r"\u2011", r"\u200b", r"\u002D", r"\/", r"\t", r"\n", r"\r", r"\b"),
    *(r"\\u0020", r"\\t", r"\x20", "%20", "%2D", "%C2%A0", "%E2%80%91", "%2520", "%u0020", "%09"),
    *("&nbsp;", "&#32;", "&#x20;", "&ndash;", "&shy;", "&zwnj;", "&Tab;", "&amp;nbsp;", "&#160;"),
)
#: Escapes of the digit 4.
ESCAPED_DIGITS = (
    *(r"\u0034", r"\\u0034", r"\x34", r"\uff14", r"\ud835\udfd2", "%34", "%2534", "%EF%BC%94"),
    *("%u0034", "&#52;", "&#x34;", "&#0052;", "&#65300;", "&amp;#52;", "&#52"),
)
#: With something around the number.
SURROUNDED = (
    *(f"order 12 {PAN}", f"{PAN} 12/27", f"{PAN} 123", f"1 {PAN}", f"x{PAN}y", f"CARD{PAN}"),
    *("4111 1111 1111 1111 12/27", "1 4111 1111 1111 1111 2", f"{PAN}@example.com", f"+{PAN}"),
    *(f"a+{PAN}@b.example", f"pan={PAN}&cvc=123", f'{{"pan":"{PAN}"}}', f"[{PAN}]", f"é{PAN}é"),
    *(
        f";{PAN}=25121010000000000?",
        f"%B{PAN}^DOE/JOHN^2512101000?",
        f"%B{PAN}^A^2512?;{PAN}=2512?",
    ),
    *(f"x;{PAN}=2512?", f"{PAN}D25121010000", "%B4111 1111 1111 1111^DOE^2512?", f"B{PAN}"),
    *(f"{PAN} {PAN}", f"tel:+{PAN}", f"{PAN}-c3d0", "[4111,1111,1111,1111]", "+4222222222222 x"),
)
NETWORKS = (
    *("4111111111111111", "4222222222222", "4000000000000000006", "5555555555554444"),
    *("2223003122003222", "2720990000000007", "378282246310005", "341111111111111"),
    *("30569309025904", "36227206271667", "38520000023237", "6011111111111117"),
    *("6440000000000005", "6500000000000002", "3530111333300000", "6200000000000005"),
)
PROBES = {
    **{f"between {text!r}": text.join(GROUPS) for text in SEPARATORS},
    **{f"digits from {zero!r}": "".join(chr(ord(zero) + int(d)) for d in PAN) for zero in ZEROS},
    **{f"escaped {text}": text.join(GROUPS) for text in ESCAPED_SEPARATORS},
    **{f"digit {text}": text + "1" * 15 for text in ESCAPED_DIGITS if text != "&#52"},
    "digit &#52 without its semicolon": "&#52 " + "1" * 15,
    **{f"within {text}": text for text in SURROUNDED},
    **{f"number {text}": text for text in NETWORKS},
}
#: Digits that are none.
OTHERS = (
    *("", "4111111111111112", "94111111111111111", "41111111111111119", "4111a1111a1111a1111"),
    *(
        "+4222222222222",
        "004222222222222",
        "00 4222222222222",
        "+4 222 222-222.222",
        "(00)4222222222222",
    ),
    *("2026-01-31T08:00:00.000Z", "123456789012", "CARD_123456", "9" * 40, "4" * 16, "\u4e00" * 20),
    *("c4111111-1111-4111-8111-141111111111", "basket_411111111111", "192.168.100.100:8000"),
)


def bare(text: str) -> str:
    return "".join(filter(str.isdigit, text))


@pytest.mark.parametrize("text", PROBES.values(), ids=PROBES)
def test_each_probe_is_found_and_masked_once(text: str) -> None:
    masked = mask_payment_cards(text)
    assert holds_payment_card(text)
    assert len(masked) == len(text)
    assert not holds_payment_card(masked)
    assert masked == mask_payment_cards(masked)


@pytest.mark.parametrize("text", PROBES.values(), ids=PROBES)
def test_each_probe_is_refused_as_an_identifier_and_not_shown(text: str) -> None:
    refused = normalise(text)
    assert isinstance(refused, InvalidIdentifier)
    assert len(bare(refused.masked)) <= 10
    assert PAN not in refused.masked


@pytest.mark.parametrize("text", PROBES.values(), ids=PROBES)
def test_each_probe_is_masked_in_what_the_directory_sends(text: str) -> None:
    document = {"customer_id": "C-1", "a": {"b": [text]}, text: 1, "first_name": text}
    clean = scrub(document)
    assert clean == {
        "customer_id": "C-1",
        "a": {"b": [mask_payment_cards(text.replace("\0", ""))]},
        mask_payment_cards(text.replace("\0", "")): 1,
        "first_name": mask_payment_cards(text.replace("\0", "")),
    }
    assert isinstance(read_customer({"customer_id": text}), InvalidCustomer)


@pytest.mark.parametrize("text", PROBES.values(), ids=PROBES)
def test_each_probe_is_masked_in_json_that_stays_json(text: str) -> None:
    for ascii_only in (True, False):
        raw = json.dumps({"basket_id": text}, ensure_ascii=ascii_only).encode(errors="replace")
        masked = json.loads(mask_payment_cards_in_bytes(raw))
        assert not holds_payment_card(masked["basket_id"]), f"ascii_only={ascii_only}"


@pytest.mark.parametrize("text", PROBES.values(), ids=PROBES)
def test_each_probe_is_masked_in_bytes_of_any_encoding(text: str) -> None:
    for encoding in ("utf-8", "utf-16-le", "utf-16-be", "utf-16"):
        masked = mask_payment_cards_in_bytes(f"<{text}>".encode(encoding)).decode(encoding)
        assert not holds_payment_card(masked), encoding


@pytest.mark.parametrize("text", OTHERS)
def test_what_is_none_is_left_as_it_is(text: str) -> None:
    assert not holds_payment_card(text)
    assert text == mask_payment_cards(text)
    assert text.encode() == mask_payment_cards_in_bytes(text.encode())
    assert scrub({text: text}) == {text: text}


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (4111111111111111, "411111******1111"),
        (4111111111111111.0, "411111******1111"),
        (-4111111111111111, "-411111******1111"),
        (4222222222222.5, "422222***2222.5"),
        (4111111111111110, 4111111111111110),
        (36.400000000000006, 36.400000000000006),
        (1e300, 1e300),
        (True, True),
        (None, None),
    ],
)
def test_a_bare_number_is_masked_as_text(number: object, expected: object) -> None:
    assert scrub({"a": [number]}) == {"a": [expected]}


def test_a_phone_alone_in_a_string_of_a_dead_letter_stays_as_it_was() -> None:
    raw = b'{"customer_identifier": "+4222222222222", "x'
    assert raw == mask_payment_cards_in_bytes(raw)


@pytest.mark.parametrize(
    "hostile",
    [
        "4 " * 20_000,
        "4" * 40_000,
        "4" + " " * 40_000 + "1",
        '"+' * 20_000,
        "%34" * 12_000,
        "&amp;" * 8_000,
        "\\u0034" * 6_000,
        "&#52;" * 8_000,
        "4111111111111111 " * 2_000,
        "+1 " * 12_000,
        "\\" * 40_000,
    ],
    ids=lambda text: text[:8],
)
def test_hostile_text_is_gone_through_to_its_end(hostile: str) -> None:
    assert len(mask_payment_cards(hostile)) == len(hostile)
