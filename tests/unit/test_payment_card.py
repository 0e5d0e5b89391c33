import pytest
from hypothesis import given
from hypothesis import strategies as st

from posstream.domain.payment_card import (
    are_harmless,
    holds_payment_card,
    holds_payment_card_known,
    mask,
    mask_payment_cards,
    mask_payment_cards_in_bytes,
)
from tests.luhn import luhn_valid
from tests.memory import is_remembered


def completed(prefix: str, length: int) -> str:
    """`prefix`, filled up with zeros and the right check digit."""
    body = prefix.ljust(length - 1, "0")
    return next(body + check for check in "0123456789" if luhn_valid(body + check))


NETWORKS = {
    "visa": (["4"], [13, 16, 19]),
    "mastercard": (["51", "52", "53", "54", "55", "2221", "2229", "23", "26", "2720"], [16]),
    "amex": (["34", "37"], [15]),
    "diners": (["300", "305", "36", "38", "39"], range(14, 20)),
    "discover": (["6011", "644", "649", "65"], range(16, 20)),
    "jcb": (["3528", "3550", "3589"], range(16, 20)),
    "unionpay": (["62"], range(16, 20)),
}


@pytest.mark.parametrize(
    "digits",
    [
        pytest.param(completed(prefix, length), id=f"{network}-{prefix}-{length}")
        for network, (prefixes, lengths) in NETWORKS.items()
        for prefix in prefixes
        for length in lengths
    ],
)
def test_a_valid_number_of_each_network_is_a_payment_card(digits: str) -> None:
    assert holds_payment_card(digits)


@pytest.mark.parametrize(
    "digits",
    [
        "4111111111111111",
        "4222222222222",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "30569309025904",
        "6011111111111117",
        "3530111333300000",
        "6200000000000005",
    ],
)
def test_the_published_test_numbers_are_payment_cards(digits: str) -> None:
    assert holds_payment_card(digits)


@pytest.mark.parametrize(
    ("prefix", "length"),
    [
        ("4", 12),
        ("4", 14),
        ("4", 15),
        ("4", 17),
        ("4", 18),
        ("4", 20),
        ("50", 16),
        ("56", 16),
        ("51", 15),
        ("51", 17),
        ("2220", 16),
        ("2721", 16),
        ("34", 14),
        ("34", 16),
        ("35", 15),
        ("306", 16),
        ("36", 13),
        ("36", 20),
        ("6010", 16),
        ("6012", 16),
        ("643", 16),
        ("64", 16),
        ("65", 15),
        ("3527", 16),
        ("3590", 16),
        ("62", 15),
        ("62", 20),
        ("61", 16),
        ("1", 16),
        ("9", 16),
    ],
)
def test_a_luhn_valid_number_beside_every_network_is_no_payment_card(
    prefix: str, length: int
) -> None:
    assert not holds_payment_card(completed(prefix, length))


@pytest.mark.parametrize("wrong_check", ["0", "2", "3", "4", "5", "6", "7", "8", "9"])
def test_a_wrong_check_digit_is_no_payment_card(wrong_check: str) -> None:
    assert not holds_payment_card("411111111111111" + wrong_check)


@pytest.mark.parametrize("prefix", ["+", "00", " +", " 00", "00 ", "(00) ", "(+) ", "0 0 "])
def test_an_international_prefix_says_that_it_is_a_phone(prefix: str) -> None:
    assert not holds_payment_card(prefix + "4222222222222")


@pytest.mark.parametrize("prefix", ["(+42) ", "(0042) ", "(00 42)-", "(+ 42)/"])
def test_a_country_code_in_parentheses_says_that_it_is_a_phone(prefix: str) -> None:
    assert not holds_payment_card(prefix + "222 2222-2222")


@pytest.mark.parametrize("text", ["", "4111a1111a1111a1111", "4111@111"])
def test_what_is_no_run_of_digits_is_no_payment_card(text: str) -> None:
    assert not holds_payment_card(text)


@pytest.mark.parametrize(
    ("digits", "expected"),
    [("79927398713", True), ("79927398710", False), ("0", True), ("18", True), ("81", False)],
)
def test_luhn_s_check_digit_is_the_standard_one(digits: str, expected: bool) -> None:  # noqa: FBT001
    assert expected == luhn_valid(digits)


# -- masks of one text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4111111111111111", "4111******1111"),
        ("411111111111111111111111", "411111******1111"),
        ("x" * 10_000, "xxxxxx******xxxx"),
        ("abc", "******"),
        ("", "******"),
        ("abcd", "a******d"),
        ("\0\0\0\0é\u202e\n\t", "??******??"),
    ],
)
def test_a_mask_shows_at_most_six_and_four_and_never_more_than_half(
    text: str, expected: str
) -> None:
    assert expected == mask(text)


@given(st.text(max_size=60))
def test_a_mask_is_short_printable_ascii(text: str) -> None:
    masked = mask(text)
    assert masked.isascii()
    assert masked.isprintable()
    assert 6 <= len(masked) <= 16


# -- cards inside a longer text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4111111111111111", "411111******1111"),
        ("4111 1111 1111 1111", "4111 11** **** 1111"),
        ("4111-1111-1111-1111", "4111-11**-****-1111"),
        ("paid by 4111111111111111, thanks", "paid by 411111******1111, thanks"),
        ('{"n":"378282246310005"}', '{"n":"378282*****0005"}'),
        ("4111111111111111 4111111111111111", "411111******1111 411111******1111"),
        ("1 4111 1111 1111 1111 2", "1 4111 11** **** 1111 2"),
        ("4222222222222", "422222***2222"),
        ("4111  1111 - 1111 1111", "4111  11** - **** 1111"),
        ("x4111111111111111y", "x411111******1111y"),
    ],
)
def test_a_card_number_is_masked_in_place(text: str, expected: str) -> None:
    assert expected == mask_payment_cards(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no digits",
        "+4222222222222",
        "4111111111111112",
        "94111111111111111",
        "41111111111111119",
        "2026-01-31T08:00:00.000Z",
        "9" * 5000,
    ],
)
def test_what_is_no_card_number_is_left_alone(text: str) -> None:
    assert text == mask_payment_cards(text)


@given(st.text(alphabet="0123456789 -+a", max_size=60))
def test_masking_keeps_the_length_and_changes_only_digits_into_stars(text: str) -> None:
    masked = mask_payment_cards(text)
    assert len(text) == len(masked)
    assert all(
        now == was or (was.isdigit() and now == "*") for was, now in zip(text, masked, strict=True)
    )


@given(st.text(alphabet="0123456789 -+a", max_size=60))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    assert mask_payment_cards(text) == mask_payment_cards(mask_payment_cards(text))


_SOME_TEXT = st.one_of(
    st.text(alphabet="0123456789 -+a%&\\é", max_size=20), st.just("4111111111111111")
)


@given(st.lists(_SOME_TEXT, max_size=4))
def test_a_quick_look_at_texts_never_misses_a_card_number(texts: list[str]) -> None:
    assert not (are_harmless(texts) and any(map(holds_payment_card, texts)))


def test_digits_of_two_texts_make_no_card_number() -> None:
    assert are_harmless(["41111111", "11111111"])


@given(st.text(alphabet="0123456789 -+aé", max_size=60))
def test_bytes_are_masked_as_their_text_is(text: str) -> None:
    assert mask_payment_cards(text).encode() == mask_payment_cards_in_bytes(text.encode())


def test_bytes_that_are_no_text_are_masked_around_the_number() -> None:
    assert (
        mask_payment_cards_in_bytes(b"\xff\xfe4111111111111111\x00")
        == b"\xff\xfe411111******1111\x00"
    )


@pytest.mark.parametrize("between", [".", "/", "\u00a0", "\0", " - "])
def test_a_card_number_is_masked_however_its_groups_are_divided(between: str) -> None:
    text = between.join(["4111", "1111", "1111", "1111"])
    assert "1111" + between + "1111" not in mask_payment_cards(text)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_card_number_in_utf_16_is_masked(encoding: str) -> None:
    raw = '{"card": "4111111111111111"}'.encode(encoding)
    assert mask_payment_cards_in_bytes(raw).decode(encoding) == '{"card": "411111******1111"}'


@given(st.one_of(st.text(), st.text("0123456789 -", min_size=13), st.just("4111 1111 1111 1111")))
def test_a_known_text_is_told_as_any_other(text: str) -> None:
    for _ in range(2):
        assert holds_payment_card_known(text) == holds_payment_card(text)


def test_a_known_text_with_a_card_number_is_not_kept_in_memory() -> None:
    for text in ("basket-20260131-77", card := "number 4111 1111 1111 1111"):
        holds_payment_card_known(text)
    assert is_remembered("basket-20260131-77")
    assert not is_remembered(card)
