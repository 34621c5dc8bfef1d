"""One emulator for the run, a hub of its own for each test, and each test once per transport."""

import itertools
import socket

import pytest

from azure.eventhub import EventHubConsumerClient, EventHubProducerClient, TransportType
from azure.eventhub import aio
from emulator import Emulator

HUBS = 240
PARTITIONS = 4


@pytest.fixture(scope="session")
def emulator():
    hubs = itertools.chain.from_iterable(("--hub", f"hub{n}:{PARTITIONS}") for n in range(HUBS))
    groups = itertools.chain.from_iterable(("--consumer-group", f"hub{n}/other") for n in range(HUBS))
    # A rule of its own besides the development key, to see that rights are told apart.
    keys = ("--key", "listener=bGlzdGVuZXI=:listen")
    with Emulator(*hubs, *groups, *keys) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def hub_names():
    return (f"hub{n}" for n in range(HUBS))


@pytest.fixture
def hub(hub_names):
    """The name of a hub that no other test uses."""
    return next(hub_names)


@pytest.fixture(scope="module", params=["tcp", "ws"])
def transport(request):
    return request.param


class Clients:
    """Makes the SDK's clients for one hub over one transport and closes what a test left open."""

    def __init__(self, emulator, hub, transport):
        self.emulator, self.hub, self.transport = emulator, hub, transport
        self._open = []

    def options(self, **more):
        # A test wants the second attempt at once, not after the SDK's 0.8 s and 1.6 s.
        options = {"eventhub_name": self.hub, "retry_total": 1, "retry_backoff_factor": 0.05}
        if self.transport == "ws":
            options["transport_type"] = TransportType.AmqpOverWebsocket
            # Over WebSockets the SDK ignores the port of the connection string.
            options["custom_endpoint_address"] = f"sb://127.0.0.1:{self.emulator.port}"
        options.update(more)
        return options

    def connection_string(self, **replace):
        """The emulator's own, with some of its parts replaced."""
        parts = dict(p.split("=", 1) for p in self.emulator.connection_string.split(";") if p)
        parts.update(replace)
        return ";".join(f"{name}={value}" for name, value in parts.items())

    def producer(self, connection_string=None, **more):
        return self._keep(
            EventHubProducerClient.from_connection_string(
                connection_string or self.emulator.connection_string, **self.options(**more)
            )
        )

    def consumer(self, connection_string=None, group="$Default", **more):
        return self._keep(
            EventHubConsumerClient.from_connection_string(
                connection_string or self.emulator.connection_string, group, **self.options(**more)
            )
        )

    def async_producer(self, connection_string=None, **more):
        return aio.EventHubProducerClient.from_connection_string(
            connection_string or self.emulator.connection_string, **self.options(**more)
        )

    def async_consumer(self, connection_string=None, group="$Default", **more):
        return aio.EventHubConsumerClient.from_connection_string(
            connection_string or self.emulator.connection_string, group, **self.options(**more)
        )

    def _keep(self, client):
        self._open.append(client)
        return client

    def close(self):
        for client in reversed(self._open):
            client.close()


@pytest.fixture
def clients(emulator, hub, transport):
    clients = Clients(emulator, hub, transport)
    yield clients
    clients.close()


@pytest.fixture
def refused_port():
    """A port where nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
