"""The Luhn check digit (ISO/IEC 7812-1 annex B), digit by digit, for tests that make numbers."""


def luhn_valid(digits: str) -> bool:
    """Whether a run of ASCII digits carries the right check digit."""
    ones = [int(digit) for digit in reversed(digits)]
    doubled = [sum(divmod(2 * digit, 10)) for digit in ones[1::2]]
    return (sum(ones[::2]) + sum(doubled)) % 10 == 0
