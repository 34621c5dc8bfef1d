"""What is wrong is said at once."""

import base64
import hashlib
import hmac
import time
from urllib.parse import quote_plus

import pytest
from azure.eventhub import EventData
from azure.eventhub.exceptions import AuthenticationError, ConnectError, EventDataSendError, EventHubError

from reading import Reader

# Much shorter than the SDK's own timeouts of 60 s, much longer than a slow machine needs.
AT_ONCE = 6


@pytest.fixture
def at_once():
    start = time.monotonic()
    yield
    assert time.monotonic() - start < AT_ONCE


def test_a_wrong_key_fails_a_send(clients, at_once):
    producer = clients.producer(clients.connection_string(SharedAccessKey="d3Jvbmc="))
    with pytest.raises(AuthenticationError) as refused:
        producer.send_event(EventData("x"))
    assert "InvalidSignature" in str(refused.value)


def test_a_wrong_key_fails_properties(clients, at_once):
    producer = clients.producer(clients.connection_string(SharedAccessKey="d3Jvbmc="))
    with pytest.raises(AuthenticationError):
        producer.get_eventhub_properties()


def test_a_wrong_key_fails_a_receive(clients, at_once):
    consumer = clients.consumer(clients.connection_string(SharedAccessKey="d3Jvbmc="))
    with Reader(consumer, partition_id="0") as reader:
        assert isinstance(reader.first_error(), AuthenticationError)


def refusing_consumer(clients, **more):
    """A consumer that reports a refusal: with retries the blocking SDK starts over for ever, without a word."""
    return clients.consumer(retry_total=0, **more)


def sign(resource, key_name, key, expiry):
    resource = quote_plus(resource)
    digest = hmac.new(key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
    signature = quote_plus(base64.b64encode(digest))
    return f"SharedAccessSignature sr={resource}&sig={signature}&se={expiry}&skn={key_name}"


def test_an_expired_token_is_refused(clients, at_once):
    parts = dict(p.split("=", 1) for p in clients.emulator.connection_string.split(";") if p)
    token = sign(
        f"sb://localhost/{clients.hub}",
        parts["SharedAccessKeyName"],
        parts["SharedAccessKey"],
        int(time.time()) - 60,
    )
    producer = clients.producer(
        f"Endpoint={parts['Endpoint']};SharedAccessSignature={token};UseDevelopmentEmulator=true"
    )
    with pytest.raises(AuthenticationError) as refused:
        producer.send_event(EventData("x"))
    assert "ExpiredToken" in str(refused.value)


def test_a_listen_key_cannot_send(clients, at_once):
    listener = clients.connection_string(SharedAccessKeyName="listener", SharedAccessKey="bGlzdGVuZXI=")
    with pytest.raises(EventHubError) as refused:
        clients.producer(listener).send_event(EventData("x"))
    assert "amqp:unauthorized-access" in str(refused.value) or isinstance(refused.value, AuthenticationError)
    assert clients.consumer(listener).get_partition_ids() == ["0", "1", "2", "3"]


def test_an_unknown_hub_is_named(clients, at_once):
    producer = clients.producer(eventhub_name="no-such-hub")
    with pytest.raises(EventHubError) as refused:
        producer.get_eventhub_properties()
    assert "no-such-hub" in str(refused.value)
    with pytest.raises(EventHubError) as refused:
        producer.send_event(EventData("x"))
    assert "no-such-hub" in str(refused.value)


def test_an_unknown_consumer_group_is_named(clients, at_once):
    with Reader(refusing_consumer(clients, group="no-such-group"), partition_id="0") as reader:
        assert "no-such-group" in str(reader.first_error())


def test_an_unknown_partition_is_refused(clients, at_once):
    producer = clients.producer()
    # The blocking producer asks for the hub's partitions first and refuses by itself.
    with pytest.raises(ConnectError) as refused:
        producer.send_event(EventData("x"), partition_id="17")
    assert "Invalid partition 17" in str(refused.value)
    with pytest.raises(EventHubError):
        producer.get_partition_properties("17")
    with Reader(refusing_consumer(clients), partition_id="17") as reader:
        assert "17" in str(reader.first_error())


@pytest.mark.parametrize("position", ["999999999", 999999999], ids=["offset", "sequence number"])
def test_a_position_beyond_the_end_is_refused(clients, at_once, position):
    with clients.producer() as producer:
        producer.send_event(EventData("x"), partition_id="0")
    with Reader(refusing_consumer(clients), partition_id="0", starting_position=position) as reader:
        error = str(reader.first_error())
        assert "com.microsoft:argument-error" in error
        assert "999999999" in error


def test_a_position_that_is_none_is_refused(clients, at_once):
    with Reader(refusing_consumer(clients), partition_id="0", starting_position="nonsense") as reader:
        assert "not a valid amqp filter" in str(reader.first_error())


def test_an_event_over_the_limit_is_refused_and_the_producer_goes_on(clients, at_once):
    with clients.producer() as producer:
        with pytest.raises((EventDataSendError, ValueError)):
            producer.send_event(EventData(b"x" * (1024 * 1024 + 1)), partition_id="0")
        assert producer.get_partition_properties("0")["is_empty"] is True
        producer.send_event(EventData("small"), partition_id="0")
        assert producer.get_partition_properties("0")["last_enqueued_sequence_number"] == 0


def test_nobody_listening_is_a_connect_error(clients, refused_port, at_once):
    nowhere = clients.connection_string(Endpoint=f"sb://127.0.0.1:{refused_port}")
    endpoint = {"custom_endpoint_address": f"sb://127.0.0.1:{refused_port}"} if clients.transport == "ws" else {}
    with pytest.raises(EventHubError):
        clients.producer(nowhere, **endpoint).get_eventhub_properties()
