"""What people find out about an alert, and how far an alert is. Pure."""

from enum import StrEnum
from typing import Final

#: Longest note of a verdict, in characters.
MAX_NOTE: Final = 2000


class Verdict(StrEnum):
    """Whether an alert was right."""

    CONFIRMED = "CONFIRMED"
    FALSE_POSITIVE = "FALSE_POSITIVE"
    #: Somebody looked, and could not tell.
    UNDECIDED = "UNDECIDED"


class AlertStatus(StrEnum):
    """The newest verdict of an alert, or that there is none."""

    OPEN = "OPEN"
    CONFIRMED = "CONFIRMED"
    FALSE_POSITIVE = "FALSE_POSITIVE"
    UNDECIDED = "UNDECIDED"
