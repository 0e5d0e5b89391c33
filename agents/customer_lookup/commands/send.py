"""`posstream send`: one scan, as a till would send it, and the answer when it comes."""

import time
import uuid

import click

from agents.customer_lookup.events.writing import identified
from posstream.commands.running import read_settings, run
from posstream.domain.identifier import InvalidIdentifier, normalise
from posstream.domain.payment_card import holds_payment_card
from posstream.events.fields import MAX_ID_LENGTH
from posstream.events.ids import derived
from posstream.json.writing import write_json
from posstream.settings import Settings


@click.command("send")
@click.argument("basket_id")
@click.argument("identifier")
@click.option("--wait", default=15.0, show_default=True, help="Seconds to wait for the answer.")
def command(basket_id: str, identifier: str, wait: float) -> None:
    """Scan IDENTIFIER (phone, e-mail or card) into basket BASKET_ID and print the answer.

    Sends one customer-identified event as a till would. Exits with 0 if the customer was found,
    1 if not, 2 if no answer came in time.
    """
    run(send(read_settings(), basket_id, identifier, wait))


async def send(settings: Settings, basket_id: str, identifier: str, wait_seconds: float) -> int:
    """Send a `customer-identified` event and print its answer as JSON.

    Returns:
        0 if the customer was found, 1 if not (or the scan is refused), 2 if no answer came in
        time.
    """
    from agents.customer_lookup.commands.topic_client import topic_client

    found = normalise(identifier, card_guard=settings.payment_card_guard)
    if isinstance(found, InvalidIdentifier):
        # Refuse before sending: a topic keeps every event for days, a card number too.
        print(f"not sent: {found.masked} is refused: {found.why}")
        return 1
    if not basket_id.strip() or len(basket_id) > MAX_ID_LENGTH:
        print(f"not sent: the basket's id must have 1 to {MAX_ID_LENGTH} characters")
        return 1
    if settings.payment_card_guard and holds_payment_card(basket_id):
        print("not sent: the basket's id holds a payment-card number")
        return 1
    event_id = str(uuid.uuid4())
    record = identified(basket_id, found.value, time.time_ns() // 1_000_000, event_id=event_id)
    async with topic_client(settings.bootstrap_servers) as client:
        await client.send(record)
        arrived = await client.answer(wait_seconds, lookup_id=derived(event_id))
    if arrived is None:
        print(f"no answer within {wait_seconds:g} s: is a worker running? (`posstream check`)")
        return 2
    print(write_json(arrived.value, indented=True).decode())
    return 0 if "customer" in arrived.value else 1
