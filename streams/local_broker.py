"""A broker started here: it lives as long as its `with` block, and never longer than the process that started it."""

import signal
import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from random import SystemRandom
from types import TracebackType
from typing import ClassVar, Self

from streams.clients import check_broker
from streams.errors import BrokerNotStarted, BrokerUnavailable, ProcessEnded
from streams.processes import Process
from streams.settings import Settings, read_settings

START_TIMEOUT_S = 60.0

_PORTS = range(20_000, 32_000)
"""Below those that systems give outgoing connections, one of which could take a port before it is listened on."""

_CHANCE = SystemRandom()  # processes that start together take different ones


class LocalBroker:
    """A broker on the loopback address. Its data stay between starts: `kill` and `start` recover.

    Subclasses say with `command` what to run.
    """

    name: ClassVar[str]

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        """Prepare a broker; `port` None takes a free one."""
        self.data_dir = data_dir
        self.port = port or free_ports(1)[0]
        self._process: Process | None = None

    def command(self) -> list[str]:
        """Return the command line of the broker, with its files in place."""
        raise NotImplementedError

    @property
    def bootstrap_servers(self) -> str:
        """Address of the broker, host:port."""
        return f"127.0.0.1:{self.port}"

    def named_in(self, settings: Settings) -> Settings:
        """Return the settings with this broker in them."""
        return settings.model_copy(
            update={"bootstrap_servers": self.bootstrap_servers, "security_protocol": "PLAINTEXT"}
        )

    @property
    def log(self) -> Path:
        """What the broker printed."""
        return self.data_dir / "broker.log"

    def start(self) -> None:
        """Start the broker and wait until it answers.

        Raises:
            BrokerNotStarted: its port is taken, it ended, or does not answer in time.
        """
        self.launch()
        try:
            self.wait_until_it_answers()
        except BaseException:
            self.kill()
            raise

    def launch(self) -> None:
        """Start the broker and wait for nothing: the nodes of a cluster answer only when most of them are there.

        Raises:
            BrokerNotStarted: its port is taken.
        """
        if _accepts(self.port):
            raise BrokerNotStarted(
                f"{self.name} cannot listen on port {self.port}: another process does; stop that one"
            )
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._process = Process(self.command(), self.log)

    def check(self) -> None:
        """Make sure that it runs, or raise `ProcessEnded`."""
        code = None if self._process is None else self._process.code
        if self._process is not None and code is not None:
            how = (
                f"was killed by signal {-code}" if code < 0 else f"ended with code {code}: {self._process.last_words()}"
            )
            raise ProcessEnded(f"the broker, {self.name}, {how}")

    def stop(self) -> None:
        """Stop the broker in good order, by force after 15 s."""
        if self._process is not None:
            self._process.stop()
        self._process = None

    def kill(self) -> None:
        """Kill the broker as `kill -9` does; `start` recovers what it had acknowledged."""
        if self._process is not None:
            self._process.kill()
        self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send the broker's process a signal, such as SIGSTOP and SIGCONT."""
        if self._process is None:
            raise BrokerNotStarted(f"{self.name} is not running")
        self._process.signal(number)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def wait_until_it_answers(self) -> None:
        """Wait until a broker that was launched answers.

        Raises:
            BrokerNotStarted: it ended, or does not answer in time.
        """
        if self._process is None:
            raise BrokerNotStarted(f"{self.name} is not running")
        deadline = time.monotonic() + START_TIMEOUT_S
        settings = read_settings(bootstrap_servers=self.bootstrap_servers, security_protocol="PLAINTEXT")
        while time.monotonic() < deadline:
            if self._process.code is not None:
                words = self._process.last_words()
                raise BrokerNotStarted(f"{self.name} ended with code {self._process.code}: {words}")
            if _accepts(self.port):
                try:
                    check_broker(settings)
                except BrokerUnavailable:
                    continue
                return
            time.sleep(0.1)
        words = self._process.last_words()
        raise BrokerNotStarted(f"{self.name} does not answer after {START_TIMEOUT_S:.0f} s: {words}")


def free_ports(count: int) -> list[int]:
    """Return so many different ports that nothing listens on, and that no outgoing connection is given by chance."""
    found: list[int] = []
    with ExitStack() as stack:
        while len(found) < count:
            port = _CHANCE.choice(_PORTS)
            with suppress(OSError):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                found.append(port)
    return found


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
