"""IPv6 on this machine, for `need`."""

import socket


def lacking() -> str | None:
    """Why nothing can listen on `::1`; None where it can."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as why:
        return f"this machine has no IPv6: {why}"
    return None
