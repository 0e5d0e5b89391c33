import pytest
from hypothesis import given
from hypothesis import strategies as st

from posstream.domain import identifier as module
from posstream.domain.identifier import (
    NORMAL,
    Identifier,
    IdentifierKind,
    InvalidIdentifier,
    is_normal,
    known,
    normalise,
)
from tests.luhn import luhn_valid

PHONE, EMAIL, CARD = IdentifierKind.PHONE, IdentifierKind.EMAIL, IdentifierKind.CARD


@pytest.mark.parametrize(
    ("scanned", "expected"),
    [
        ("+1234567890", "+1234567890"),
        ("  +1234567890\n", "+1234567890"),
        ("+1 (234) 567-890", "+1234567890"),
        ("+1.234.567.890", "+1234567890"),
        ("+1\u00a0234\u202f567 890", "+1234567890"),
        ("001234567890", "+1234567890"),
        ("00 1 234 567 890", "+1234567890"),
        ("(00) 1234567890", "+1234567890"),
        ("0301234567", "0301234567"),
        ("030 / 1234567".replace("/ ", ""), "0301234567"),
        ("7", "7"),
        ("123456789012345", "123456789012345"),
        ("+123456789012345", "+123456789012345"),
        ("00123456789012345", "+123456789012345"),
    ],
)
def test_a_phone_keeps_its_digits_and_a_plus(scanned: str, expected: str) -> None:
    assert Identifier(expected, PHONE) == normalise(scanned)


@pytest.mark.parametrize("scanned", ["+0987654321", "+5555555555"])
def test_the_phones_of_the_seed_that_strict_validation_would_refuse_are_accepted(
    scanned: str,
) -> None:
    assert Identifier(scanned, PHONE) == normalise(scanned)


@pytest.mark.parametrize("prefix", ["+", "00"])
def test_an_international_phone_of_16_digits_is_refused(prefix: str) -> None:
    refused = normalise(prefix + "1234567890123456")
    assert isinstance(refused, InvalidIdentifier)
    assert refused.why == "a phone number has at most 15 digits"


def test_a_card_number_that_is_too_long_for_a_phone_is_one_behind_a_plus_too() -> None:
    refused = normalise("+4111111111111111")
    assert isinstance(refused, InvalidIdentifier)
    assert refused.why == "it holds a payment-card number"


def test_a_13_digit_phone_with_a_plus_is_no_payment_card() -> None:
    assert luhn_valid("4222222222222")
    assert Identifier("+4222222222222", PHONE) == normalise("+4222222222222")


def test_the_same_phone_with_two_zeros_has_one_cache_key() -> None:
    assert normalise("+49 30 1234567") == normalise("0049-30-1234567")


def test_digits_alone_beyond_15_are_a_loyalty_card() -> None:
    assert Identifier("1234567890123456", CARD) == normalise("1234567890123456")


def test_digits_alone_beyond_15_lose_their_spaces_and_dashes() -> None:
    assert Identifier("12345678901234567890", CARD) == normalise("1234567890 1234567-890")


@pytest.mark.parametrize(
    ("scanned", "expected"),
    [
        ("john@example.com", "john@example.com"),
        ("  John@Example.COM\t", "john@example.com"),
        ("j.doe+till@sub.example.com", "j.doe+till@sub.example.com"),
        ("JOHN_DOE@EXAMPLE.COM", "john_doe@example.com"),
    ],
)
def test_an_email_is_trimmed_and_lower_cased(scanned: str, expected: str) -> None:
    assert Identifier(expected, EMAIL) == normalise(scanned)


def test_an_email_with_an_inner_space_is_refused() -> None:
    assert isinstance(normalise("john doe@example.com"), InvalidIdentifier)


@pytest.mark.parametrize(
    ("scanned", "expected"),
    [
        ("CARD_123456", "CARD_123456"),
        (" card_123456 ", "CARD_123456"),
        ("ca rd-12 34-56", "CARD123456"),
        ("ab.12", "AB.12"),
        ("A" * 128, "A" * 128),
    ],
)
def test_a_card_is_upper_cased_without_spaces_and_dashes_and_keeps_its_underscore(
    scanned: str, expected: str
) -> None:
    assert Identifier(expected, CARD) == normalise(scanned)


@pytest.mark.parametrize(
    "scanned",
    [
        "",
        "   ",
        "-",
        ".",
        "..",
        " .. ",
        ".-.",
        "A" * 129,
        "a/b",
        "../etc",
        "CARD%2F1",
        "CARD?x=1",
        "CARD#1",
        "CARD:1",
        "CARD\0001",
        "CARD\n1",
        "CARD\t1",
        "josé@example.com",
        "ＣＡＲＤ１",  # noqa: RUF001 - full-width letters are the point
        "KÄRTE",
        "\ud800",
    ],
)
def test_what_breaks_the_syntax_is_refused(scanned: str) -> None:
    assert isinstance(normalise(scanned), InvalidIdentifier)


@pytest.mark.parametrize("scanned", ["CARD:1234567890", "josé@example.com", "\0" * 40, "é" * 40])
def test_a_refusal_shows_at_most_the_first_6_and_last_4_characters_in_ascii(scanned: str) -> None:
    refused = normalise(scanned)
    assert isinstance(refused, InvalidIdentifier)
    assert scanned not in refused.masked
    assert refused.masked.isascii()
    assert refused.masked.isprintable()
    assert len(refused.masked) <= 16


def test_a_refused_scan_of_any_length_has_a_short_mask() -> None:
    refused = normalise("x:" * 100_000)
    assert isinstance(refused, InvalidIdentifier)
    assert refused.masked == "x:x:x:******:x:x"[:12] + "x:x:"


def test_an_identifier_has_a_masked_form_for_logs() -> None:
    assert Identifier("+1234567890", PHONE).masked == "+1******90"


@pytest.mark.parametrize(
    "scanned",
    [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "  4111111111111111  ",
        "4111.1111.1111.1111",
        "4111\u00a01111\u00a01111\u00a01111",
    ],
)
def test_a_payment_card_is_refused_and_masked(scanned: str) -> None:
    refused = normalise(scanned)
    assert isinstance(refused, InvalidIdentifier)
    assert refused.why == "it holds a payment-card number"
    assert "4111111111111111" not in "".join(filter(str.isdigit, refused.masked))


def test_a_shop_whose_own_cards_collide_can_switch_the_guard_off() -> None:
    assert Identifier("4111111111111111", CARD) == normalise(
        "4111-1111-1111-1111", card_guard=False
    )


def test_a_15_digit_amex_is_refused_although_it_could_be_a_phone() -> None:
    assert isinstance(normalise("378282246310005"), InvalidIdentifier)
    assert Identifier("378282246310005", PHONE) == normalise("378282246310005", card_guard=False)


# -- signs that scanners and keyboards put in


@pytest.mark.parametrize(
    ("scanned", "expected"),
    [
        ("\u200b+1234567890", "+1234567890"),
        ("\ufeff+1234\u200e567890\u202c", "+1234567890"),
        ("+1\u00ad234\u2060567890", "+1234567890"),
        ("\uff10\uff10\uff14\uff19\uff13\uff10\uff11", "+49301"),
        ("\u0661\u0662\u0663\u0664\u0665", "12345"),
        ("\U0001d7cf\U0001d7d0", "12"),
        ("+49\u300030\u2003123\u2007456", "+4930123456"),
        *((f"+49{dash}30{dash}123", "+4930123") for dash in "\u2010\u2011\u2013\u2014\u2212\uff0d"),
    ],
)
def test_format_characters_blanks_dashes_and_digits_of_unicode_are_folded(
    scanned: str, expected: str
) -> None:
    assert Identifier(expected, PHONE) == normalise(scanned)


def test_a_card_and_an_email_are_folded_as_a_phone_is() -> None:
    assert Identifier("CARD12", CARD) == normalise("\u200bcard\u2011\uff11\uff12")
    assert Identifier("a-1@b-c.de", EMAIL) == normalise("A\u2013\uff11@b\u2010c.de\ufeff")


@pytest.mark.parametrize("scanned", ["CARD\uff21", "\u00b2\u00b3", "a\u0301@b.de", "4\u20dd"])
def test_other_signs_outside_ascii_are_refused(scanned: str) -> None:
    assert isinstance(normalise(scanned), InvalidIdentifier)


# -- phones


@pytest.mark.parametrize(
    ("scanned", "expected"),
    [
        ("+49 (0) 30 123456", "+4930123456"),
        ("0049(0)30/123456", "+4930123456"),
        ("(+49) (0)30-123456", "+4930123456"),
        ("+44 ( 0 ) 20.7946", "+44207946"),
        ("030/123 456", "030123456"),
        ("(0)30 123456", "030123456"),
    ],
)
def test_a_trunk_zero_in_parentheses_goes_behind_an_international_prefix_only(
    scanned: str, expected: str
) -> None:
    assert Identifier(expected, PHONE) == normalise(scanned)


@pytest.mark.parametrize(
    ("scanned", "expected"),
    [
        ("030 123456", "+4930123456"),
        ("(030) 123456", "+4930123456"),
        ("(0)30/123456", "+4930123456"),
        ("+33 1 23", "+33123"),
        ("0033123", "+33123"),
        ("30123456", "30123456"),
        ("0", "0"),
        ("00", "00"),
    ],
)
def test_a_national_number_gets_the_default_country_code(scanned: str, expected: str) -> None:
    assert Identifier(expected, PHONE) == normalise(scanned, country_code="49")


def test_a_national_number_that_is_too_long_with_its_country_code_is_refused() -> None:
    assert isinstance(normalise("0" + "1" * 14, country_code="49"), InvalidIdentifier)
    assert Identifier("+49" + "1" * 13, PHONE) == normalise("0" + "1" * 13, country_code="49")


def test_a_hostile_scan_of_phone_signs_is_refused_at_once() -> None:
    assert isinstance(normalise("+" + "( " * 30_000), InvalidIdentifier)
    assert isinstance(normalise("0" * 60_000 + "x"), InvalidIdentifier)


# -- e-mails


@pytest.mark.parametrize(
    "scanned",
    [
        "o'brien@example.com",
        "a!#$%&'*+-/=?^_`{|}~z@example.com",
        "x@localhost",
        "x@a-b.c1",
        "x" * 242 + "@example.com",
    ],
)
def test_a_dot_atom_at_a_host_name_is_an_email(scanned: str) -> None:
    assert Identifier(scanned, EMAIL) == normalise(scanned)


@pytest.mark.parametrize(
    "scanned",
    [
        *("@", "a@", "@b", "a@b@c", ".a@b.de", "a.@b.de", "a..b@c.de", '"a b"@c.de', "a,b@c.de"),
        *("a@-b.de", "a@b-.de", "a@b..de", "a@b.de.", "a@b_c.de", "a@[127.0.0.1]", "a@m\u00fcn.de"),
        *("(a)@b.de", "x" * 243 + "@example.com", "a@" + "b" * 64 + ".de"),
    ],
)
def test_what_is_no_such_address_is_refused(scanned: str) -> None:
    assert isinstance(normalise(scanned), InvalidIdentifier)


# -- a kind that the till said


@pytest.mark.parametrize(
    ("scanned", "kind", "expected"),
    [
        ("0012345678905", CARD, "0012345678905"),
        ("0012345678905", PHONE, "+12345678905"),
        ("030 123-456", CARD, "030123456"),
        ("12345", CARD, "12345"),
        ("a@b.de", CARD, "A@B.DE"),
        ("A@b.de", EMAIL, "a@b.de"),
    ],
)
def test_an_identifier_is_read_as_the_kind_that_the_till_said(
    scanned: str, kind: IdentifierKind, expected: str
) -> None:
    assert Identifier(expected, kind) == normalise(scanned, kind=kind)
    assert known(expected) is not None


@pytest.mark.parametrize(
    ("scanned", "kind"),
    [
        *[("CARD_1", PHONE), ("a@b.de", PHONE), ("1" * 16, PHONE), ("", PHONE)],
        *[("CARD_1", EMAIL), ("+123", EMAIL), ("a/b", CARD), ("..", CARD), ("o'b@c.de", CARD)],
    ],
)
def test_what_is_not_of_the_kind_that_the_till_said_is_refused(
    scanned: str, kind: IdentifierKind
) -> None:
    assert isinstance(normalise(scanned, kind=kind), InvalidIdentifier)


# -- properties

scans = st.one_of(
    st.text(max_size=140),
    st.text(alphabet="0123456789+-(). ", max_size=30),
    st.text(alphabet="abcABC012@._-+ ", max_size=30),
    st.from_regex(r"[A-Z0-9a-z+@._-]{1,128}", fullmatch=True),
    st.from_regex(r"[a-z0-9!#$%&'*+/=?^_`{|}~.-]{1,20}@[a-z0-9.-]{1,20}", fullmatch=True),
)


@given(scans, st.booleans())
def test_whatever_is_scanned_the_result_matches_the_allow_list(scanned: str, guard: bool) -> None:  # noqa: FBT001
    found = normalise(scanned, card_guard=guard)
    if isinstance(found, Identifier):
        assert is_normal(found.value)


@given(scans, st.booleans())
def test_normalising_twice_changes_nothing(scanned: str, guard: bool) -> None:  # noqa: FBT001
    found = normalise(scanned, card_guard=guard)
    if isinstance(found, Identifier):
        assert found == normalise(found.value, card_guard=guard)
        assert found == known(found.value)


@st.composite
def valid_card_numbers(draw: st.DrawFn) -> str:
    prefix, length = draw(
        st.sampled_from(
            [
                *(("4", n) for n in (13, 16, 19)),
                *((p, 16) for p in ("51", "55", "2221", "2720", "2300")),
                *((p, 15) for p in ("34", "37")),
                *((p, n) for p in ("300", "305", "36", "38", "39") for n in range(14, 20)),
                *((p, n) for p in ("6011", "644", "649", "65") for n in range(16, 20)),
                *((p, n) for p in ("3528", "3589", "62") for n in range(16, 20)),
            ]
        )
    )
    room = length - len(prefix) - 1
    digits = prefix + draw(st.text(alphabet="0123456789", min_size=room, max_size=room))
    return next(digits + check for check in "0123456789" if luhn_valid(digits + check))


@given(st.data())
def test_a_card_number_is_refused_however_it_is_spaced_and_never_shown(data: st.DataObject) -> None:
    digits = data.draw(valid_card_numbers())
    gaps = data.draw(
        st.lists(
            st.sampled_from(["", "", " ", "-", " - "]),
            min_size=len(digits),
            max_size=len(digits),
        )
    )
    scanned = "".join(digit + gap for digit, gap in zip(digits, gaps, strict=True))
    refused = normalise(scanned)
    assert isinstance(refused, InvalidIdentifier)
    assert refused.why == "it holds a payment-card number"
    shown = [char for char in refused.masked if char.isdigit()]
    assert len(shown) <= 10
    assert digits not in "".join(shown)


# -- the shortcut


normal_scans = st.from_regex(
    r"\+?[0-9]{1,16}|[a-z0-9+._-]{1,20}@[a-z0-9.-]{1,20}|[0-9_]{0,16}[A-Z][A-Z0-9_]{0,16}",
    fullmatch=True,
)


@given(
    st.one_of(scans, normal_scans),
    st.booleans(),
    st.sampled_from([None, *IdentifierKind]),
    st.sampled_from([None, "49"]),
)
def test_the_shortcut_for_normal_scans_changes_nothing(
    scanned: str,
    guard: bool,  # noqa: FBT001
    kind: IdentifierKind | None,
    code: str | None,
) -> None:
    shortly = normalise(scanned, card_guard=guard, kind=kind, country_code=code)
    with pytest.MonkeyPatch.context() as without:
        without.setattr(module, "normal_for", lambda _: lambda _: None)
        at_length = normalise(scanned, card_guard=guard, kind=kind, country_code=code)
    assert at_length == shortly


@pytest.mark.parametrize(
    ("scanned", "group"),
    [
        *[("+4930123456", "PHONE"), ("030123456", "PHONE"), ("123456789012", "PHONE")],
        *[("john@example.com", "EMAIL"), ("CARD_123", "CARD"), ("0A", "CARD")],
    ],
)
def test_most_scans_take_the_shortcut(scanned: str, group: str) -> None:
    normal = NORMAL(scanned)
    assert normal is not None
    assert normal.lastgroup == group


@pytest.mark.parametrize(
    "scanned",
    ["0049301234", "00", "1234567890123", "card_1", "J@example.com", "_", "A" * 129, "A\n"],
)
def test_what_must_be_changed_or_looked_at_does_not(scanned: str) -> None:
    assert NORMAL(scanned) is None
