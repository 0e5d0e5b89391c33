"""What the headers of a request say."""

import pytest

from web.http.reading import is_same_origin


@pytest.mark.parametrize(
    ("origin", "scheme", "host"),
    [
        ("http://till.example", "http", "till.example"),
        ("http://till.example:80", "http", "till.example"),
        ("http://till.example", "http", "till.example:80"),
        ("https://till.example", "https", "till.example:443"),
        ("http://till.example:8000", "http", "till.example:8000"),
        ("HTTP://Till.Example", "http", "till.EXAMPLE"),
        ("http://[::1]:8000", "http", "[::1]:8000"),
    ],
)
def test_a_page_is_of_the_origin_that_it_is_sent_to(origin: str, scheme: str, host: str) -> None:
    assert is_same_origin([origin], scheme, host)


@pytest.mark.parametrize(
    ("origin", "scheme", "host"),
    [
        ("https://till.example", "http", "till.example"),
        ("http://till.example", "https", "till.example"),
        ("http://till.example", "https", "till.example:80"),
        ("https://till.example:80", "http", "till.example:80"),
        ("http://till.example:8001", "http", "till.example:8000"),
        ("http://till.example.evil", "http", "till.example"),
        ("http://evil@till.example", "http", "till.example"),
        ("http://till.example/", "http", "till.example"),
        ("ftp://till.example", "http", "till.example"),
        ("till.example", "http", "till.example"),
        ("//till.example", "http", "till.example"),
        ("null", "http", "till.example"),
        ("null", "http", "null"),
        ("", "http", ""),
        ("http://", "http", ""),
        ("http://[", "http", "["),
        ("http://till.example:x", "http", "till.example:x"),
    ],
)
def test_a_page_of_another_origin_is_told_apart(origin: str, scheme: str, host: str) -> None:
    assert not is_same_origin([origin], scheme, host)


def test_what_is_from_no_browser_has_no_origin() -> None:
    assert is_same_origin([], "http", "till.example")


def test_two_origins_are_none() -> None:
    assert not is_same_origin(["http://a", "http://a"], "http", "a")
