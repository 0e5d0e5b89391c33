import pytest

from agents.customer_lookup.directory.credentials import Credentials, read_authorization

ENDPOINT = "https://crm.example/"


def redacted(raw: str, value: object) -> object:
    return Credentials(read_authorization(raw), ENDPOINT).redacted(value)


def test_credentials_do_not_show_themselves() -> None:
    credentials = Credentials(read_authorization("bearer correct-horse"), ENDPOINT)
    assert "correct-horse" not in f"{credentials} {credentials!r}"
    assert ENDPOINT in repr(credentials)


def test_a_token_is_taken_out_of_whatever_repeats_it() -> None:
    echo = {"auth": "Bearer correct-horse", "deep": [{"correct-horse": 1}], "n": 5, "x": None}
    expected = {"auth": "Bearer ***", "deep": [{"***": 1}], "n": 5, "x": None}
    assert redacted("bearer correct-horse", echo) == expected


@pytest.mark.parametrize(
    "echo", ["dGlsbDpjb3JyZWN0LWhvcnNl", "till:correct-horse", "correct-horse"]
)
def test_a_password_is_taken_out_in_each_of_its_forms(echo: str) -> None:
    assert redacted("basic till:correct-horse", [f"<{echo}>"]) == ["<***>"]


def test_a_secret_as_short_as_a_word_is_not_looked_for() -> None:
    assert redacted("bearer John", {"first_name": "John"}) == {"first_name": "John"}
