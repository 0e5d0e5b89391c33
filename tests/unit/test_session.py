"""Sessions as tokens: any worker with the same keys can read them, and nobody else make them."""

import pytest

from posstream.domain.access_key import AccessKey
from posstream.domain.roles import Caller, Role
from tests.manual_clock import ManualClock
from web.access.session import SESSION_SECONDS, Sessions

ANNA = AccessKey(Caller("anna", Role.OPERATOR), "the-key-of-anna-1")
VERA = AccessKey(Caller("vera", Role.VIEWER), "the-key-of-vera-2")


def sessions(*keys: AccessKey, clock: ManualClock | None = None) -> Sessions:
    return Sessions(keys or (ANNA, VERA), clock or ManualClock())


def opened(by: Sessions, key: AccessKey = ANNA) -> str:
    token = by.open(key.secret)
    assert token is not None
    return token


def test_another_worker_with_the_same_keys_reads_the_session() -> None:
    session = sessions().read(opened(sessions()))
    assert session is not None
    assert session.caller == ANNA.caller


def test_there_is_no_session_without_a_key() -> None:
    assert [sessions().open(key) for key in ("", "another key", ANNA.secret[:-1])] == [None] * 3


def test_two_sessions_of_one_key_differ_and_so_do_their_forms() -> None:
    here = sessions()
    read = [here.read(opened(here)) for _ in range(2)]
    assert len({session.form_token for session in read if session}) == 2


def test_a_session_ends_after_twelve_hours() -> None:
    clock = ManualClock()
    here = sessions(clock=clock)
    token = opened(here)
    clock.advance(SESSION_SECONDS - 1)
    assert here.read(token) is not None
    clock.advance(1)
    assert here.read(token) is None


def test_a_key_that_is_gone_takes_its_sessions_along() -> None:
    assert sessions(VERA).read(opened(sessions(), ANNA)) is None


def test_a_key_whose_role_was_changed_has_the_new_one_at_once() -> None:
    lower = AccessKey(Caller("anna", Role.VIEWER), ANNA.secret)
    session = sessions(lower).read(opened(sessions(), ANNA))
    assert session is not None
    assert session.caller.role is Role.VIEWER


def test_neither_key_nor_name_stands_in_the_token() -> None:
    token = opened(sessions())
    assert ANNA.secret not in token
    assert "anna" not in token


def test_no_changed_token_is_read() -> None:
    token = opened(sessions())
    here = sessions()
    for place, character in enumerate(token):
        changed = token[:place] + ("A" if character != "A" else "B") + token[place + 1 :]
        assert here.read(changed) is None, place


@pytest.mark.parametrize("token", ["", ".", "...", "a.b.c.d", "é.1.2.3", "x" * 10_000, "\udcff..."])
def test_no_strange_token_is_read(token: str) -> None:
    assert sessions().read(token) is None


def test_a_viewer_cannot_sign_an_operator_s_session() -> None:
    """The signature of one key does not do for another's fingerprint."""
    here = sessions()
    of_anna, of_vera = opened(here, ANNA).split("."), opened(here, VERA).split(".")
    assert here.read(".".join([of_anna[0], *of_vera[1:]])) is None
