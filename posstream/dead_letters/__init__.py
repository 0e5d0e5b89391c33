"""Messages that cannot be read: set aside, listed, shown, replayed."""
