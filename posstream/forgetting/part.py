"""How a plugin declares what it erases and exports of a customer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgettingPart:
    """What a plugin does when a customer is to be forgotten, or asks what is known of them."""
