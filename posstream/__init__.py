"""The stream processor behind a retailer's tills, whose plugins answer events on Kafka topics."""

__version__ = "0.2.0"
