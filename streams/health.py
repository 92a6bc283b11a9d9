"""How a worker is, told over HTTP on the address of its metrics: `/live`, `/ready`, `/metrics`."""

import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING, TypeAlias
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from streams.errors import SettingsError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

Check: TypeAlias = Callable[[], str | None]

REQUEST_TIMEOUT_S = 10.0
"""A client that sends nothing for so long is left: each takes a thread."""


def _starting() -> str:
    return "it starts: its compiled loops are made ready"


@dataclass
class Health:
    """What is wrong with a worker, in words; None: nothing. Any thread asks.

    Attributes:
        live: says what does not get on: restart the worker.
        ready: says what it waits for before it can answer events: leave it alone.
    """

    live: Check = lambda: None
    ready: Check = _starting


def serve(host: str, port: int, registry: CollectorRegistry, health: Health) -> tuple[WSGIServer, Thread]:
    """Answer GET /live, /ready and /metrics on this address; port 0 takes any free one.

    /live and /ready answer 200, or 503 and one line that says why. Nothing else is answered.

    Raises:
        SettingsError: the address cannot be used.
    """
    try:
        [(family, *_, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        kind = type("Server", (_Server,), {"address_family": family})  # its base asks for IPv4
        server: WSGIServer = make_server(str(address[0]), port, _application(registry, health), kind, _Handler)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SettingsError(
            f"metrics cannot be served at {host} port {port} ({reason}): set NEXTACT_METRICS_PORT and"
            " NEXTACT_METRICS_HOST; port 0 takes a free one"
        ) from None
    thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    return server, thread


def _application(
    registry: CollectorRegistry, health: Health
) -> "Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]":
    metrics = make_wsgi_app(registry)

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            exposition: Iterable[bytes] = metrics(environ, start_response)
            return exposition
        if path in ("/live", "/ready"):
            name = path[1:]
            wrong = health.live() if name == "live" else health.ready()
            status, line = ("200 OK", name) if wrong is None else ("503 Service Unavailable", f"not {name}: {wrong}")
        else:
            status, line = "404 Not Found", "here are /live, /ready and /metrics"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")])
        return [f"{line}\n".encode()]

    return answer


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # who is still reading does not hold up the end of the process


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_TIMEOUT_S

    def log_message(self, *_: object) -> None:
        """Log nothing: probes come every few seconds."""
