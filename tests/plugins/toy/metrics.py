"""What the toy counts."""

from typing import Final

from posstream.metrics import Metric

METRICS: Final = (Metric("counter", "toy_visits", "Answers that the toy counted."),)
