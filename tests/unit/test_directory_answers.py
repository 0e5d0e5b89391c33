import pytest

from agents.customer_lookup.directory.answer_text import UnreadableText, utf8_of
from agents.customer_lookup.directory.http import _decode

TEXT = '{"last_name": "Müller", "price": "€", "city": "山"}'


def test_an_answer_nested_too_deep_to_be_published_is_no_json() -> None:
    deep = b'{"customer_id": "C", "x": ' + b"[" * 400 + b"]" * 400 + b"}"
    assert _decode(deep, None) == (b"", None, "the answer is not JSON")


def test_an_ordinary_answer_is_decoded() -> None:
    raw = b'{"customer_id": "C"}'
    assert _decode(raw, "utf-8") == (raw, {"customer_id": "C"}, None)


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("ISO-8859-1", "Müller"),
        ("latin1", "Müller"),
        ("iso-8859-15", "Müller €"),
        ("windows-1252", "Müller €"),
        ("CP1252", "Müller €"),
        ("Shift_JIS", "山田太郎"),
        ("EUC-JP", "山田太郎"),
        ("gb2312", "王小明"),
        ("Big5", "王小明"),
        ("EUC-KR", "김민수"),
        ("windows-1251", "Иванов"),
        ("koi8-u", "Ковальчук"),
        ("IBM037", "Smith"),
        ("utf-16", "Müller 山"),
        ("UTF-16BE", "Müller 山"),
        ("utf-32", "Müller 山"),
        ("UTF8", "Müller 山"),
    ],
)
def test_an_answer_is_read_in_the_charset_that_it_says(charset: str, text: str) -> None:
    document = f'{{"name": "{text}"}}'
    assert utf8_of(document.encode(charset), charset).decode() == document


@pytest.mark.parametrize(
    ("charset", "real", "text"),
    [
        ("ANSI", "cp1252", "Müller €"),
        ("x-cp1252", "cp1252", "Müller €"),
        ("x-mac-roman", "mac-roman", "Müller"),
        ("x-sjis", "shift_jis", "山田太郎"),
        ("x-euc-jp", "euc_jp", "山田太郎"),
        ("x-big5", "big5", "王小明"),
        ("x-windows-949", "cp949", "김민수"),
        ("windows-874", "cp874", "สมชาย"),
        ("windows-31J", "cp932", "①髙"),
        ("ISO-8859-8-I", "iso8859-8", "שלום"),
        ("utf8mb4", "utf-8", "Müller 山"),
        ("unicode-1-1-utf-8", "utf-8", "Müller 山"),
        ("utf-8-sig", "utf-8", "Müller 山"),
    ],
)
def test_a_charset_is_known_by_what_others_call_it(charset: str, real: str, text: str) -> None:
    document = f'{{"name": "{text}"}}'
    assert utf8_of(document.encode(real), charset).decode() == document


@pytest.mark.parametrize(
    ("charset", "real"),
    [
        ("Shift_JIS", "cp932"),
        ("gb2312", "gb18030"),
        ("us-ascii", "utf-8"),
        ("ISO-8859-1", "cp1252"),
    ],
)
def test_signs_of_a_charset_s_wider_form_are_read(charset: str, real: str) -> None:
    text = {"cp1252": '"Müller €"', "cp932": '"①髙"', "gb18030": '"镕€"', "utf-8": '"é"'}[real]
    assert utf8_of(text.encode(real), charset).decode() == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("charset", [None, "utf-8", "iso-8859-1", "utf-16", "x-unheard-of"])
def test_zeros_and_marks_say_more_than_the_header(encoding: str, charset: str | None) -> None:
    for text in (TEXT, f"\ufeff{TEXT}"):
        assert utf8_of(text.encode(encoding), charset).decode() == TEXT


def test_a_mark_of_utf_8_is_no_part_of_the_answer_whatever_the_header() -> None:
    raw = b"\xef\xbb\xbf" + TEXT.encode()
    assert [utf8_of(raw, each).decode() for each in (None, "utf-8", "iso-8859-1", "?")] == [
        TEXT
    ] * 4


@pytest.mark.parametrize(
    "charset",
    [
        "x-unheard-of",
        "base64",
        "zlib",
        "rot13",
        "punycode",
        "idna",
        "unicode_escape",
        "",
        "os",
        "a" * 99,
    ],
)
def test_an_unknown_charset_is_said(charset: str) -> None:
    with pytest.raises(UnreadableText, match="charset") as refused:
        utf8_of(b"{}", charset)
    assert "a" * 99 not in str(refused.value)


def test_bytes_that_are_not_of_the_charset_are_said() -> None:
    with pytest.raises(UnreadableText, match="is not in its charset Shift_JIS"):
        utf8_of(b'"\x81"', "Shift_JIS")
