"""Benchmark peer on the official Python SDK, its blocking stack, which is the faster one."""

import argparse
import json
import threading
import time

from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient, TransportType

DEADLINE = 120


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--connection-string", required=True)
    arguments.add_argument("--hub", required=True)
    arguments.add_argument("--mode", required=True, choices=["send", "receive", "single", "latency", "buffered"])
    arguments.add_argument("--size", type=int, default=1024)
    arguments.add_argument("--count", type=int, default=10_000)
    arguments.add_argument("--partition", default="0")
    arguments.add_argument("--transport", choices=["tcp", "ws"], default="tcp")
    arguments.add_argument("--in-flight", type=int, help="ignored: the SDK sends one after another")
    args = arguments.parse_args()

    options = {"eventhub_name": args.hub}
    if args.transport == "ws":
        parts = dict(part.split("=", 1) for part in args.connection_string.split(";") if part)
        options["transport_type"] = TransportType.AmqpOverWebsocket
        # Over WebSockets the SDK ignores the port of the connection string.
        options["custom_endpoint_address"] = parts["Endpoint"].rstrip("/")

    if args.mode == "receive":
        consumer = EventHubConsumerClient.from_connection_string(
            args.connection_string, "$Default", **options
        )
        result = receive(consumer, args)
    elif args.mode == "buffered":
        result = send_buffered(args, options)
    else:
        with EventHubProducerClient.from_connection_string(args.connection_string, **options) as producer:
            # Opens both links, so that the clock does not measure them: a batch asks one of the hub for its limit,
            # even when its events go to a partition.
            producer.create_batch()
            producer.send_event(EventData(bytes(args.size)), partition_id=args.partition)
            result = {"send": send_batches, "single": send_serially, "latency": send_serially}[args.mode](
                producer, args
            )
    line = {"peer": "azure-eventhub 5.15 (Python)", "transport": args.transport, "mode": args.mode, "size": args.size}
    print(json.dumps(line | result), flush=True)


def send_batches(producer, args):
    body = bytes(args.size)
    start = time.perf_counter()
    sent = 0
    while sent < args.count:
        batch = producer.create_batch(partition_id=args.partition)
        try:
            while sent < args.count:
                batch.add(EventData(body))
                sent += 1
        except ValueError:
            pass
        producer.send_batch(batch)
    return {"events": sent, "seconds": time.perf_counter() - start}


def send_buffered(args, options):
    failures = []
    producer = EventHubProducerClient.from_connection_string(
        args.connection_string,
        buffered_mode=True,
        on_success=lambda events, partition_id: None,
        on_error=lambda events, partition_id, error: failures.append(str(error)),
        **options,
    )
    body = bytes(args.size)
    with producer:
        # Opens the link, so that the clock does not measure it.
        producer.send_event(EventData(body), partition_id=args.partition)
        producer.flush()
        start = time.perf_counter()
        for _ in range(args.count):
            producer.send_event(EventData(body), partition_id=args.partition)
        producer.flush()
        seconds = time.perf_counter() - start
    if failures:
        raise SystemExit(failures[0])
    return {"events": args.count, "seconds": seconds}


def send_serially(producer, args):
    body = bytes(args.size)
    laps = []
    start = time.perf_counter()
    for _ in range(args.count):
        lap = time.perf_counter()
        producer.send_event(EventData(body), partition_id=args.partition)
        laps.append(time.perf_counter() - lap)
    result = {"events": args.count, "seconds": time.perf_counter() - start}
    if args.mode == "latency":
        laps.sort()
        last = len(laps) - 1
        result["p50Micros"] = laps[round(last * 0.5)] * 1e6
        result["p99Micros"] = laps[round(last * 0.99)] * 1e6
    return result


def receive(consumer, args):
    clock = {}
    done = threading.Event()
    failures = []
    state = {"events": 0}

    def on_events(_context, events):
        if not events:
            return
        if not state["events"]:
            clock["start"] = time.perf_counter()
            state["first"] = len(events)
        for event in events:
            if sum(map(len, event.body)) != args.size:
                failures.append("an event of another size")
        state["events"] += len(events)
        if state["events"] >= args.count and "end" not in clock:
            clock["end"] = time.perf_counter()
            done.set()

    def on_error(_context, error):
        failures.append(str(error))
        done.set()

    thread = threading.Thread(
        target=consumer.receive_batch,
        args=(on_events,),
        kwargs={
            "on_error": on_error,
            "partition_id": args.partition,
            "starting_position": "-1",
            "prefetch": 2000,
            "max_batch_size": 300,
        },
        daemon=True,
    )
    thread.start()
    if not done.wait(DEADLINE):
        failures.append(f"only {state['events']} events within {DEADLINE} s")
    consumer.close()
    if failures:
        raise SystemExit(failures[0])
    # The first callback's events were there when the clock started.
    return {"events": state["events"] - state["first"], "seconds": clock["end"] - clock["start"]}


main()
