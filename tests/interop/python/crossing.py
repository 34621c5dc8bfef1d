"""The Python half of the crossings that ../crossing.rs directs: writes events that another client reads, or tells
what it sees of events that another client wrote.

    python crossing.py write|read COUNT CONNECTION_STRING HUB tcp|ws
"""

import json
import sys
import threading
import uuid
from datetime import datetime, timezone

from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient, TransportType
from azure.eventhub.amqp import AmqpAnnotatedMessage

UUID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
TIME = datetime(2024, 5, 6, 7, 8, 9, 123000, tzinfo=timezone.utc)
DEADLINE = 30


def tagged(kind, value):
    return {"TYPE": kind, "VALUE": value}


PLAIN = {
    "null": None,
    "true": True,
    "false": False,
    "int": -(2**31),
    "double": 3.25,
    "timestamp": TIME,
    "uuid": UUID,
    "binary": b"\x00\xff",
    "string": "héllo",
    "list": [1, "two", None, [3.5]],
    "map": {"a": 1, "b": {"c": True}},
}

TAGGED = {
    "ubyte": tagged("UBYTE", 255),
    "ushort": tagged("USHORT", 65535),
    "uint": tagged("UINT", 2**32 - 1),
    "ulong": tagged("ULONG", 2**64 - 1),
    "byte": tagged("BYTE", -128),
    "short": tagged("SHORT", -32768),
    "long": tagged("LONG", -(2**63)),
    "float": tagged("FLOAT", 0.5),
    "symbol": tagged("SYMBOL", b"a:symbol"),
}


def corpus():
    yield "text", EventData("héllo")
    yield "bytes", EventData(bytes(range(256)))
    yield "empty", EventData(b"")
    yield "sections", EventData([b"one", b"", b"three"])
    yield "sequence", AmqpAnnotatedMessage(sequence_body=[[1, "two"], [None]])
    for name, value in PLAIN.items():
        yield f"value {name}", AmqpAnnotatedMessage(value_body=value)
    # A tag is understood inside a list only; on its own the SDK sends it as a map of its two words.
    yield "value tagged", AmqpAnnotatedMessage(value_body=list(TAGGED.values()))
    everything = EventData("x")
    everything.properties = {**PLAIN, **TAGGED}
    yield "application properties", everything
    yield (
        "properties",
        AmqpAnnotatedMessage(
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
                "absolute_expiry_time": 1714979289124,
                "creation_time": 1714979289123,
                "group_id": "group",
                "group_sequence": 7,
                "reply_to_group_id": "other",
            },
            annotations={"x-mine": "kept", "x-number": 5},
        ),
    )
    for name, message_id in {"uuid": UUID, "binary": b"\x01\x02", "ulong": 2**63}.items():
        yield f"message-id {name}", AmqpAnnotatedMessage(data_body=b"x", properties={"message_id": message_id})


def write(options):
    with EventHubProducerClient.from_connection_string(**options) as producer:
        for name, message in corpus():
            if isinstance(message, EventData):
                message.properties = {**message.properties, "case": name}
            else:
                message.application_properties = {"case": name}
            producer.send_batch([message], partition_id="0")


def seen(value):
    """A value with the type Python gave it."""
    kind = type(value).__name__
    if isinstance(value, bytes):
        return [kind, value.hex()]
    if isinstance(value, dict):
        return [kind, [[seen(key), seen(item)] for key, item in value.items()]]
    if isinstance(value, (list, tuple)):
        return [kind, [seen(item) for item in value]]
    if isinstance(value, (uuid.UUID, datetime)):
        return [kind, str(value)]
    return [kind, value]


def tell(event):
    raw = event.raw_amqp_message
    body = list(raw.body) if raw.body_type.value in ("data", "sequence") else raw.body
    properties = raw.properties
    names = [name for name in vars(properties)] if properties else []
    fields = {name.lstrip("_"): getattr(properties, name) for name in names}
    line = {
        "bodyType": raw.body_type.value,
        "body": seen(body),
        "properties": {name: seen(value) for name, value in fields.items() if value is not None},
        "applicationProperties": seen(event.properties or {})[1],
        "annotations": seen(raw.annotations or {})[1],
        "sequenceNumber": event.sequence_number,
        "partitionKey": event.partition_key.decode() if event.partition_key else None,
    }
    print(json.dumps(line), flush=True)


def read(options, count):
    consumer = EventHubConsumerClient.from_connection_string(consumer_group="$Default", **options)
    done = threading.Event()
    problems = []
    told = []

    def on_event(_context, event):
        tell(event)
        told.append(event)
        if len(told) == count:
            done.set()

    def on_error(_context, error):
        problems.append(error)
        done.set()

    thread = threading.Thread(
        target=consumer.receive,
        kwargs={"on_event": on_event, "on_error": on_error, "partition_id": "0", "starting_position": "-1"},
    )
    thread.start()
    if not done.wait(DEADLINE):
        problems.append(f"only {len(told)} of {count} events within {DEADLINE} s")
    consumer.close()
    thread.join(DEADLINE)
    if problems:
        raise SystemExit(str(problems[0]))


def main():
    verb, count, connection_string, hub, transport = sys.argv[1:]
    options = {"conn_str": connection_string, "eventhub_name": hub}
    if transport == "ws":
        parts = dict(part.split("=", 1) for part in connection_string.split(";") if part)
        options["transport_type"] = TransportType.AmqpOverWebsocket
        # Over WebSockets the SDK ignores the port of the connection string.
        options["custom_endpoint_address"] = parts["Endpoint"].rstrip("/")
    if verb == "write":
        write(options)
    else:
        read(options, int(count))


main()
