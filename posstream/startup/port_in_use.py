"""The sentence for a port of the web view that cannot be listened on."""

import errno


def no_port(host: str, port: int, why: OSError) -> str:
    """The sentence for an address that cannot be listened on."""
    if why.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use: stop the program that has it or set "
            "POSSTREAM_WEB_PORT"
        )
    name = errno.errorcode.get(why.errno or 0, type(why).__name__)
    return (
        f"cannot listen on port {port} of {host} ({name}: {why.strerror}): "
        "set POSSTREAM_WEB_HOST and POSSTREAM_WEB_PORT"
    )
