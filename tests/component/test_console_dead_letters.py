"""The dead letters as an operator's browser gets them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from posstream.dead_letters.letter import (
    Address,
    Letter,
    LetterList,
    NotReplayed,
    Prospect,
    Replay,
    ReplayState,
    Source,
    WholeLetter,
)
from posstream.domain.access_key import read_access_keys
from posstream.domain.errors import BrokerUnreachable
from posstream.settings import Settings
from tests.component.fakes import NOW_MS
from tests.component.html_page import HtmlPage
from tests.component.web_client import WebView, running_web

VIEWER, SUPPORT, OPERATOR = "viewer-key-01234", "support-key-0123", "operator-key-012"
KEYED = Settings(
    named_keys=read_access_keys(
        f"viewer:{VIEWER}:vera;support:{SUPPORT}:sam;operator:{OPERATOR}:olga"
    )
)
VISA = b"4111111111111111"
HERE = Address(1, 7)
FROM = Source("customer-identified", 3, 41)
ADDRESS, TIME, SOURCE, REASON, ERROR, SIZE = range(6)


@pytest.fixture
async def web() -> AsyncIterator[WebView]:
    async with running_web(KEYED) as view:
        yield view


def put(web: WebView, address: Address = HERE, value: bytes | None = b"{}", **said: Any) -> None:
    letter = Letter(
        address=address,
        source=said.get("source", FROM),
        timestamp_ms=NOW_MS - said.get("age_ms", 0),
        reason=said.get("reason", "NOT_JSON"),
        error=said.get("error", "the message is not JSON"),
        size=None if value is None else len(value),
        size_before_cut=None,
    )
    headers = (("posstream.dlq.topic", b"customer-identified"), ("tenant", b"john@example.com"))
    web.dead_letters.letters[address] = WholeLetter(letter, b"+1234567890", value, headers)
    web.dead_letters.prospects[address] = Prospect(address, FROM)


async def page_of(web: WebView, path: str, key: str = OPERATOR, status: int = 200) -> HtmlPage:
    response = await web.client.get(path, headers={"Authorization": f"Bearer {key}"})
    assert response.status == status
    return HtmlPage.of(await response.text())


async def replay(
    web: WebView, status: int, *, key: str = OPERATOR, follow: bool = True, **form: str
) -> HtmlPage:
    response = await web.client.post(
        f"/dead-letters/{HERE}/replay",
        data=form,
        headers={"Authorization": f"Bearer {key}"},
        allow_redirects=follow,
    )
    assert response.status == status
    return HtmlPage.of(await response.text())


# -- the list


async def test_a_letter_is_a_row_with_a_link_to_its_page(web: WebView) -> None:
    put(web, age_ms=60_000)
    put(web, Address(0, 2), None, reason="TOMBSTONE", error="no value", source=None)
    page = await page_of(web, "/dead-letters", VIEWER)
    assert page.rows == [
        ["0/2", "2026-01-31 08:00:00", "unknown", "TOMBSTONE", "no value", "none"],
        [
            *("1/7", "2026-01-31 07:59:00", "customer-identified/3/41"),
            *("NOT_JSON", "the message is not JSON", "2"),
        ],
    ]
    assert (await page_of(web, page.links["1/7"])).titles == ["Dead letter 1/7"]


async def test_a_letter_of_another_plugin_names_its_topic_and_has_a_page(web: WebView) -> None:
    put(web, Address(1, 7, "pos-events.dlq"))
    page = await page_of(web, "/dead-letters", VIEWER)
    assert page.rows[0][ADDRESS] == "pos-events.dlq/1/7"
    path = page.links["pos-events.dlq/1/7"]
    assert path == "/dead-letters/pos-events.dlq/1/7"
    assert (await page_of(web, path)).titles == ["Dead letter pos-events.dlq/1/7"]
    asked = await page_of(web, f"{path}/replay")
    assert asked.titles == ["Replay dead letter pos-events.dlq/1/7?"]


async def test_a_reason_is_filtered_for_by_the_url_and_counted(web: WebView) -> None:
    for n in range(3):
        put(web, Address(0, n))
    put(web, Address(0, 3), reason="EMPTY")
    page = await page_of(web, "/dead-letters?reason=NOT_JSON")
    assert [row[REASON] for row in page.rows] == ["NOT_JSON"] * 3
    assert page.values["reason"] == "NOT_JSON"
    assert "EMPTY (1)" in page.text
    nothing = await page_of(web, "/dead-letters?reason=NO_SUCH")
    assert (nothing.rows, nothing.values["reason"]) == ([], "NO_SUCH")


async def test_the_filter_takes_topic_and_time_and_says_what_it_cannot_use(web: WebView) -> None:
    put(web, Address(0, 0), age_ms=7_200_000)
    put(web, Address(0, 1), source=Source("customer-updated", 0, 1))
    put(web, Address(0, 2))
    for query, shown in (
        ("topic=customer-updated", ["0/1"]),
        ("to=2026-01-31T07:00", ["0/0"]),
        ("from=2026-01-31T07:00&topic=customer-identified", ["0/2"]),
    ):
        page = await page_of(web, f"/dead-letters?{query}")
        assert [row[ADDRESS] for row in page.rows] == shown, query
    assert "customer-updated (1)" in page.text
    refused = await page_of(web, "/dead-letters?from=soon", status=400)
    assert refused.errors == {"from": "Write a time like 2026-01-31 08:15, in UTC."}
    assert refused.rows == []


async def test_pages_lead_to_older_letters_even_while_new_ones_come(web: WebView) -> None:
    for n in range(120):
        put(web, Address(0, n), age_ms=-n)
    first = await page_of(web, "/dead-letters?reason=NOT_JSON")
    put(web, Address(0, 120), age_ms=-120)
    second = await page_of(web, first.links["Older"])
    third = await page_of(web, second.links["Older"])
    shown = [row[ADDRESS] for page in (first, second, third) for row in page.rows]
    assert shown == [f"0/{n}" for n in reversed(range(120))]
    assert "Older" not in third.links
    assert (await page_of(web, third.links["Newer"])).rows == second.rows
    assert (await page_of(web, third.links["Newest"])).rows[0][ADDRESS] == "0/120"


async def test_a_list_without_its_end_or_with_gaps_says_so(web: WebView) -> None:
    put(web)
    letters = [web.dead_letters.letters[HERE].letter]
    web.dead_letters.listed = LetterList(letters, has_older=True, missing="it took over 5 s")
    page = await page_of(web, "/dead-letters")
    assert "Only the newest 1 are read here" in page.text
    assert "The list has gaps: it took over 5 s" in page.text


@pytest.mark.parametrize("path", ["/dead-letters", "/dead-letters.csv", "/dead-letters/replay"])
async def test_a_name_that_is_no_filter_is_refused(web: WebView, path: str) -> None:
    put(web)
    page = await page_of(web, f"{path}?resaon=EMPTY", status=400)
    assert "There is no filter “resaon”; there are reason, topic, from, to." in page.text
    assert page.rows == []


async def test_the_order_is_in_the_url_and_a_replay_keeps_it(web: WebView) -> None:
    for n in range(3):
        put(web, Address(0, n), age_ms=-n)
    page = await page_of(web, "/dead-letters?done=1&left=0")
    assert "3 in all" in page.text
    oldest = await page_of(web, page.links["Oldest first"])
    assert [row[ADDRESS] for row in oldest.rows] == ["0/0", "0/1", "0/2"]
    assert "written again" not in oldest.text
    asked = await page_of(web, oldest.links["Replay these 3…"])
    assert asked.values["addresses"] == "0/0 0/1 0/2"


async def test_the_filtered_list_is_a_csv_file(web: WebView) -> None:
    put(web)
    put(web, Address(0, 2), None, reason="TOMBSTONE", error="=1+1", source=None)
    put(web, Address(0, 3), reason="EMPTY")
    assert (await page_of(web, "/dead-letters?to=2026-01-31T09:00")).links["CSV"] == (
        "/dead-letters.csv?to=2026-01-31T09:00"
    )
    lines = [
        "address,written_at,source_topic,source_partition,source_offset,reason,error,bytes",
        "0/2,2026-01-31T08:00:00.000Z,,,,TOMBSTONE,'=1+1,",
    ]
    response = await web.client.get(
        "/dead-letters.csv?reason=TOMBSTONE", headers={"Authorization": f"Bearer {VIEWER}"}
    )
    assert (await response.text()).splitlines() == lines


async def test_no_letters_is_good_news(web: WebView) -> None:
    assert "Every message could be read" in (await page_of(web, "/dead-letters")).text


@pytest.mark.parametrize(
    "path", ["/dead-letters", "/dead-letters.csv", "/dead-letters/1/7", "/dead-letters/1/7/replay"]
)
async def test_without_a_broker_each_page_says_so(web: WebView, path: str) -> None:
    web.dead_letters.error = BrokerUnreachable("the Kafka broker does not answer")
    page = await page_of(web, path, status=503)
    assert "the Kafka broker does not answer" in page.text
    assert page.links["Try again"] == path


# -- one letter


async def test_who_may_not_reveal_learns_no_identifier_from_a_letter(web: WebView) -> None:
    secrets = ("1234567890", "234 567 890", "john@example.com", "john@")
    for value in (
        b'{"customer_identifier": "+1234567890", "john@example.com": {"n": 1234567890}}',
        b"call john@example.com or +1 234 567 890",
        "john@example.com +1234567890".encode("utf-16"),
    ):
        put(web, value=value)
        text = (await page_of(web, f"/dead-letters/{HERE}?reveal=1", VIEWER)).text
        assert [it for it in secrets if it in text] == [], value
        assert value[:3].hex(" ") not in text


async def test_support_sees_the_message_in_full_and_that_is_written_down(
    web: WebView, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "posstream.audit")
    put(web, value=b'{"customer_identifier":"+1234567890"}')
    masked = await page_of(web, f"/dead-letters/{HERE}", SUPPORT)
    assert '"customer_identifier": "+1******890"' in masked.text
    assert caplog.messages == []
    shown = await page_of(web, masked.links["Show the message in full"], SUPPORT)
    assert '"customer_identifier": "+1234567890"' in shown.text
    assert "john@example.com" in shown.text
    assert "sam (support)" in caplog.messages[0]


@pytest.mark.parametrize("depth", [250, 300, 600, 1100])
@pytest.mark.parametrize("key", [VIEWER, OPERATOR])
async def test_a_value_nested_deep_is_shown_at_least_as_text(
    web: WebView, key: str, depth: int
) -> None:
    put(web, value=b"[" * depth + b"]" * depth)
    assert "[" in (await page_of(web, f"/dead-letters/{HERE}?reveal=1", key)).text


async def test_a_value_that_is_no_text_is_shown_in_hex(web: WebView) -> None:
    put(web, value=b"\xff\x00\x1b" + bytes(2000))
    text = (await page_of(web, f"/dead-letters/{HERE}?reveal=1")).text
    assert "ff 00 1b 00" in text
    assert "979 bytes more" in text


async def test_a_card_number_is_shown_to_nobody(web: WebView) -> None:
    for value in (b'{"pan": "' + VISA + b'"}', b"pan " + VISA, b"\xff " + VISA):
        put(web, value=value)
        text = (await page_of(web, f"/dead-letters/{HERE}?reveal=1")).text
        assert VISA.decode() not in text
        assert VISA.hex(" ") not in text


async def test_a_value_cannot_change_the_page(web: WebView) -> None:
    put(web, value="<script>\x1b[31m \u202e".encode(), error="<b>no</b>")
    text = (await page_of(web, f"/dead-letters/{HERE}?reveal=1")).text
    assert "<script>\\x1b[31m \\u202e" in text
    assert "<b>no</b>" in text


async def test_a_long_value_is_cut_and_says_so(web: WebView) -> None:
    put(web, value=b"x" * 70_000)
    page = await page_of(web, f"/dead-letters/{HERE}?reveal=1")
    assert f"Not shown: {70_000 - 64 * 1024} characters more" in page.text


async def test_a_letter_that_is_gone_is_a_page_that_says_so(web: WebView) -> None:
    assert (await page_of(web, "/dead-letters/0/1", status=404)).titles == ["No such dead letter"]


# -- replay


async def test_a_replay_is_asked_once_more_and_then_done_and_written_down(
    web: WebView, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "posstream.audit")
    put(web)
    letter = await page_of(web, f"/dead-letters/{HERE}")
    asked = await page_of(web, letter.links["Replay…"])
    assert "customer-identified , partition 3" in asked.text
    assert web.dead_letters.replayed == []
    done = await replay(web, 200)
    assert "the broker has it" in done.text
    assert web.dead_letters.replayed == [HERE]
    assert caplog.messages == [
        "replayDeadLetter(address='1/7') by olga (operator): done, customer-identified/3/41"
    ]


@pytest.mark.parametrize("key", [VIEWER, SUPPORT])
async def test_a_replay_is_an_operator_s(web: WebView, key: str) -> None:
    put(web)
    assert "Replay…" not in (await page_of(web, f"/dead-letters/{HERE}", key)).links
    await page_of(web, f"/dead-letters/{HERE}/replay", key, status=403)
    assert (await replay(web, 403, key=key)).titles == ["Not for your role"]
    assert web.dead_letters.replayed == []


@pytest.mark.parametrize(
    "prospect",
    [
        Prospect(HERE, FROM, before=Source("customer-identified", 3, 99)),
        Prospect(HERE, FROM, is_known=False),
    ],
)
async def test_what_may_have_been_replayed_is_replayed_only_by_who_says_so(
    web: WebView, prospect: Prospect
) -> None:
    put(web)
    web.dead_letters.prospects[HERE] = prospect
    asked = await page_of(web, f"/dead-letters/{HERE}/replay")
    assert ("as customer-identified/3/99" in asked.text) == (prospect.before is not None)
    assert asked.values["again"] == "1"
    refused = await replay(web, 409)
    assert refused.errors == {"again": "Confirm that you want a second replay, or cancel."}
    assert web.dead_letters.replayed == []
    await replay(web, 303, follow=False, again="1")
    assert web.dead_letters.replayed == [HERE]


async def test_what_cannot_be_replayed_says_why(web: WebView) -> None:
    put(web)
    web.dead_letters.prospects[HERE] = NotReplayed(HERE, "its value was cut")
    assert "its value was cut" in (await page_of(web, f"/dead-letters/{HERE}/replay")).text
    assert "its value was cut" in (await replay(web, 409)).text
    assert web.dead_letters.replayed == []


# -- what came of it


async def test_an_operator_sees_what_came_of_a_replay(web: WebView) -> None:
    put(web)
    put(web, Address(0, 9))
    place = Source("customer-identified", 3, 99)
    came = Replay(place, ReplayState.ANSWERED, "lookup-1", "basket_1", "API")
    web.dead_letters.came_of[HERE] = came
    told = "answered API: lookup-1 of basket basket_1"
    assert f"{place}: {told}" in (await page_of(web, f"/dead-letters/{HERE}")).text
    listed = await page_of(
        web, (await page_of(web, "/dead-letters")).links["Show what came of replays"]
    )
    assert {row[ADDRESS]: row[5] for row in listed.rows} == {"1/7": told, "0/9": "no replay"}
    web.dead_letters.came_of[HERE] = Replay(place, ReplayState.FAILED_AGAIN, letter=Address(0, 9))
    page = await page_of(web, f"/dead-letters/{HERE}")
    assert page.links["failed again, as 0/9"] == "/dead-letters/0/9"
    assert "failed again" not in (await page_of(web, f"/dead-letters/{HERE}", VIEWER)).text


# -- many at once


async def post_all(web: WebView, path: str, key: str = OPERATOR, **form: str) -> HtmlPage:
    response = await web.client.post(
        path, data=form, headers={"Authorization": f"Bearer {key}"}, allow_redirects=True
    )
    return HtmlPage.of(await response.text())


async def test_the_letters_of_a_filter_are_replayed_at_once_but_for_those_it_cannot_help(
    web: WebView, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "posstream.audit")
    for n in range(5):
        put(web, Address(0, n), age_ms=-n)
    put(web, Address(1, 0), reason="EMPTY")
    box = web.dead_letters
    box.prospects[Address(0, 1)] = NotReplayed(Address(0, 1), "it has no value")
    box.prospects[Address(0, 2)] = Prospect(Address(0, 2), FROM, before=FROM)
    listed = await page_of(web, "/dead-letters?reason=NOT_JSON")
    path = listed.links["Replay these 5…"]
    asked = await page_of(web, path)
    assert asked.titles == ["Replay 3 dead letters?"]
    assert "1: it has no value" in asked.text
    assert "1: it was replayed before" in asked.text
    assert asked.values["addresses"] == "0/4 0/3 0/0"
    assert box.replayed == []
    # Somebody else was faster with one of them.
    box.prospects[Address(0, 3)] = Prospect(Address(0, 3), FROM, before=FROM)
    done = await post_all(web, path, addresses=asked.values["addresses"])
    assert box.replayed == [Address(0, 4), Address(0, 0)]
    assert "2 written again to where they came from; 1 left out" in done.text
    assert done.values["reason"] == "NOT_JSON"
    assert caplog.messages == ["replayDeadLetters(letters=3) by olga (operator): done, 2 replayed"]


async def test_many_are_replayed_by_nobody_else_and_not_while_earlier_replays_are_unknown(
    web: WebView,
) -> None:
    put(web)
    listed = await page_of(web, "/dead-letters", SUPPORT)
    assert "Replay this one…" not in listed.links
    await page_of(web, "/dead-letters/replay", SUPPORT, status=403)
    refused = await post_all(web, "/dead-letters/replay", SUPPORT, addresses="1/7")
    assert refused.titles == ["Not for your role"]
    web.dead_letters.prospects[HERE] = Prospect(HERE, FROM, is_known=False)
    for page in (
        await page_of(web, "/dead-letters/replay"),
        await post_all(web, "/dead-letters/replay", addresses="1/7"),
    ):
        assert "Whether they were replayed before is not known" in page.text
    assert web.dead_letters.replayed == []


async def test_who_clicks_twice_replays_once(web: WebView) -> None:
    put(web)
    put(web, Address(0, 9))
    await asyncio.gather(
        *(post_all(web, "/dead-letters/replay", addresses="1/7 0/9") for _ in range(2)),
        *(post_all(web, f"/dead-letters/{HERE}/replay") for _ in range(2)),
    )
    assert sorted(web.dead_letters.replayed) == [Address(0, 9), HERE]


async def test_a_letter_of_somebody_else_shows_no_card_number_in_the_file(web: WebView) -> None:
    put(web, error="4111111111111111 is no JSON", reason="4111111111111111")
    headers = {"Authorization": f"Bearer {VIEWER}"}
    text = await (await web.client.get("/dead-letters.csv", headers=headers)).text()
    assert "is no JSON" in text
    assert "4111111111111111" not in text
