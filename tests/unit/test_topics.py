from posstream.plugins.discovery import find_plugins


def test_retention_never_goes_by_a_clock_of_another_machine() -> None:
    assert {spec.config["message.timestamp.type"] for spec in find_plugins().topics} == {
        "LogAppendTime"
    }
