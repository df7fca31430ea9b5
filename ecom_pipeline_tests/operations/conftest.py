"""A local server that takes alerts, for tests of alerts and of the nights that send them."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ecom_pipeline.operations import alerts

SECRET = "T0K3N-of-the-webhook"  # noqa: S105 - made up


class Server:
    """Answers with the statuses that it is told, and keeps what it got."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.pause = 0.0
        self.got: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(outer.pause)
                status = outer.answers.pop(0) if outer.answers else 200
                if status == 200:
                    outer.got.append(json.loads(body))
                try:
                    self.send_response(status)
                    self.end_headers()
                except (BrokenPipeError, ConnectionResetError):
                    return

            def log_message(self, format: str, *arguments: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/hook/{SECRET}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server()
    monkeypatch.setenv(alerts.URL_VARIABLE, made.url)
    monkeypatch.delenv(alerts.EMAIL_VARIABLE, raising=False)
    monkeypatch.setattr(alerts, "PAUSES_SECONDS", (0.01, 0.01))
    yield made
    made.close()
