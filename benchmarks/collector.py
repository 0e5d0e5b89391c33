"""A collector of traces that takes everything and keeps nothing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Collector:
    """OTLP over HTTP, on a port of its own."""

    url: str
    #: How many bytes of spans have come.
    taken: int = 0


@contextmanager
def running() -> Iterator[Collector]:
    """One that listens meanwhile, in a thread."""

    class Takes(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.taken += len(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Takes)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
