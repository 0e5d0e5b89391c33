"""A broker that does not answer, as one error of ours."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aiokafka.errors import KafkaError

from posstream.domain.errors import BrokerUnreachable


@contextmanager
def answering(servers: Sequence[str]) -> Iterator[None]:
    """What is done within fails with one sentence if the broker does not answer.

    Raises:
        BrokerUnreachable: instead of any error of the network or of Kafka.
    """
    try:
        yield
    except (KafkaError, OSError) as why:
        raise BrokerUnreachable(
            f"the Kafka broker at {', '.join(servers)} does not answer ({type(why).__name__}): "
            "see POSSTREAM_BROKER"
        ) from why
