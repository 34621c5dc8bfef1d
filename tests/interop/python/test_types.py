"""Bodies and properties of every type come back as the SDK wrote them."""

import json
import uuid
from datetime import datetime, timezone

from azure.eventhub import EventData
from azure.eventhub.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType

from reading import read

UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
TIME = datetime(2024, 5, 6, 7, 8, 9, 123000, tzinfo=timezone.utc)
TIME_MILLIS = 1714979289123


def tagged(kind, value):
    """A value whose AMQP type is said: the SDK's own way out of its `int` being 32 bits."""
    return {"TYPE": kind, "VALUE": value}


def round_trip(clients, *messages):
    """Each sent on its own, then all of them read."""
    with clients.producer() as producer:
        for message in messages:
            producer.send_batch([message], partition_id="0")
    return read(clients.consumer(), len(messages), partition_id="0")


BODIES = {
    "text": ("hello", [b"hello"]),
    "unicode": ("héllo 日本語 🦀", ["héllo 日本語 🦀".encode()]),
    "bytes": (bytes(range(256)), [bytes(range(256))]),
    "empty": (b"", [b""]),
    "several sections": ([b"one", b"", b"three"], [b"one", b"", b"three"]),
    "json": (json.dumps({"a": [1, None]}), [b'{"a": [1, null]}']),
}


def test_data_bodies(clients):
    events = round_trip(clients, *(EventData(written) for written, _ in BODIES.values()))
    for event, (name, (_, expected)) in zip(events, BODIES.items()):
        assert event.body_type == AmqpMessageBodyType.DATA, name
        assert list(event.body) == expected, name


# Written, and as the SDK gives it back: text as bytes, every integer as int, a time as milliseconds.
PLAIN = {
    "null": (None, None),
    "true": (True, True),
    "false": (False, False),
    "int": (-42, -42),
    "double": (3.25, 3.25),
    "text": ("héllo", "héllo".encode()),
    "binary": (b"\x00\xff", b"\x00\xff"),
    "uuid": (UUID, UUID),
    "timestamp": (TIME, TIME_MILLIS),
    "list": ([1, "two", None, [3.5]], [1, b"two", None, [3.5]]),
    "map": ({"a": 1, "b": {"c": True}}, {b"a": 1, b"b": {b"c": True}}),
    "long text": ("x" * 70_000, b"x" * 70_000),
}

TAGGED = {
    "ubyte": (tagged("UBYTE", 255), 255),
    "ushort": (tagged("USHORT", 65535), 65535),
    "uint": (tagged("UINT", 2**32 - 1), 2**32 - 1),
    "ulong": (tagged("ULONG", 2**64 - 1), 2**64 - 1),
    "byte": (tagged("BYTE", -128), -128),
    "short": (tagged("SHORT", -32768), -32768),
    "long": (tagged("LONG", -(2**63)), -(2**63)),
    "float": (tagged("FLOAT", 0.5), 0.5),
    "symbol": (tagged("SYMBOL", b"a:symbol"), b"a:symbol"),
}


def test_value_bodies(clients):
    # A tag is understood inside a list only; on its own the SDK sends it as a map of its two words.
    values = {**PLAIN, "tagged": tuple(list(side) for side in zip(*TAGGED.values()))}
    # A value that Python takes for false is not sent at all.
    del values["false"]
    events = round_trip(clients, *(AmqpAnnotatedMessage(value_body=written) for written, _ in values.values()))
    for event, (name, (_, expected)) in zip(events, values.items()):
        assert event.body_type == AmqpMessageBodyType.VALUE, name
        assert event.body == expected, name
        assert type(event.body) is type(expected), name


def test_sequence_bodies(clients):
    [event] = round_trip(clients, AmqpAnnotatedMessage(sequence_body=[[1, "two"], [None, b"3"]]))
    assert event.body_type == AmqpMessageBodyType.SEQUENCE
    assert list(event.body) == [[1, b"two"], [None, b"3"]]


def test_application_properties(clients):
    values = {**PLAIN, **TAGGED}
    event = EventData("x")
    event.properties = {name: written for name, (written, _) in values.items()}
    [received] = round_trip(clients, event)
    assert received.properties == {name.encode(): expected for name, (_, expected) in values.items()}


def test_message_properties(clients):
    message = AmqpAnnotatedMessage(
        data_body=b"x",
        properties={
            "message_id": "id-1",
            "user_id": b"user",
            "to": "there",
            "subject": "about",
            "reply_to": "here",
            "correlation_id": "id-0",
            "content_type": "application/json",
            "content_encoding": "gzip",
            "absolute_expiry_time": TIME_MILLIS + 1,
            "creation_time": TIME_MILLIS,
            "group_id": "group",
            "group_sequence": 7,
            "reply_to_group_id": "other",
        },
        annotations={"x-mine": "kept", "x-number": 5},
    )
    [event] = round_trip(clients, message)
    received = event.raw_amqp_message.properties
    assert received.message_id == b"id-1"
    assert received.user_id == b"user"
    assert received.to == b"there"
    assert received.subject == b"about"
    assert received.reply_to == b"here"
    assert received.correlation_id == b"id-0"
    assert received.content_type == b"application/json"
    assert received.content_encoding == b"gzip"
    assert received.absolute_expiry_time == TIME_MILLIS + 1
    assert received.creation_time == TIME_MILLIS
    assert received.group_id == b"group"
    assert received.group_sequence == 7
    assert received.reply_to_group_id == b"other"
    assert event.raw_amqp_message.annotations[b"x-mine"] == b"kept"
    assert event.raw_amqp_message.annotations[b"x-number"] == 5


def test_message_ids_of_every_type(clients):
    ids = {"text": ("text", b"text"), "uuid": (UUID, UUID), "binary": (b"\x01\x02", b"\x01\x02")}
    ids["ulong"] = (2**63, 2**63)
    messages = (
        AmqpAnnotatedMessage(data_body=b"x", properties={"message_id": written, "correlation_id": written})
        for written, _ in ids.values()
    )
    for event, (name, (_, expected)) in zip(round_trip(clients, *messages), ids.items()):
        properties = event.raw_amqp_message.properties
        assert (properties.message_id, properties.correlation_id) == (expected, expected), name


def test_the_convenient_properties_of_an_event(clients):
    event = EventData("x")
    event.content_type = "text/plain"
    event.correlation_id = "c"
    event.message_id = "m"
    [received] = round_trip(clients, event)
    assert received.content_type == "text/plain"
    assert received.correlation_id == "c"
    assert received.message_id == "m"
    system = received.system_properties
    assert system[b"x-opt-sequence-number"] == 0
    assert system[b"x-opt-offset"].decode() == received.offset
    assert system[b"x-opt-enqueued-time"] == int(received.enqueued_time.timestamp() * 1000)
