from agents.customer_lookup.topics import TOPICS


def test_retention_never_goes_by_a_clock_of_another_machine() -> None:
    assert {spec.config["message.timestamp.type"] for spec in TOPICS} == {"LogAppendTime"}
