"""Building blocks that know nothing of customers: clock, retry, single flight."""
