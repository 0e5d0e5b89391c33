"""Faust's aiokafka transport with our consumer and our producer."""

from faust.transport.drivers import aiokafka as faust_driver

from posstream.streaming.patches.consumer import Consumer
from posstream.streaming.patches.producer import Producer


class Transport(faust_driver.Transport):
    """The transport with our consumer and producer."""

    Consumer = Consumer
    Producer = Producer
