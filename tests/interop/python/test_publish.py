"""Publishing with the official SDK: one event, batches, keys, partitions, buffered, and properties of the hub."""

import threading
from datetime import datetime, timezone

import pytest
from azure.eventhub import EventData

from reading import Reader, read

# Key -> partition of 4, by the service's hash.
KEYS = {"device-1": "0", "device-2": "2", "abcdefghijkl": "1", "abcdefghijklm": "3", "日本語": "1"}


def test_one_event_arrives_with_its_place_in_the_log(clients):
    before = datetime.now(timezone.utc)
    with clients.producer() as producer:
        producer.send_event(EventData("hello"), partition_id="1")
    [event] = read(clients.consumer(), 1)
    assert event.body_as_str() == "hello"
    assert event.sequence_number == 0
    assert int(event.offset) >= 0
    assert event.partition_key is None
    assert abs((event.enqueued_time - before).total_seconds()) < 60


def test_a_batch_arrives_in_order_in_one_partition(clients):
    with clients.producer() as producer:
        batch = producer.create_batch(partition_id="2")
        for number in range(500):
            batch.add(EventData(f"event {number}"))
        producer.send_batch(batch)
    events = read(clients.consumer(), 500, partition_id="2")
    assert [event.body_as_str() for event in events] == [f"event {number}" for number in range(500)]
    assert [event.sequence_number for event in events] == list(range(500))
    offsets = [int(event.offset) for event in events]
    assert offsets == sorted(set(offsets))


def test_a_full_batch_is_accepted_and_one_event_more_does_not_fit(clients):
    with clients.producer() as producer:
        batch = producer.create_batch(partition_id="0")
        assert batch.max_size_in_bytes == 1024 * 1024
        added = 0
        with pytest.raises(ValueError):
            while True:
                batch.add(EventData(b"x" * 1000))
                added += 1
        assert added > 1000
        producer.send_batch(batch)
        assert producer.get_partition_properties("0")["last_enqueued_sequence_number"] == added - 1


def test_a_batch_keeps_the_size_it_was_asked_for(clients):
    with clients.producer() as producer:
        batch = producer.create_batch(max_size_in_bytes=2000)
        batch.add(EventData(b"x" * 1500))
        with pytest.raises(ValueError):
            batch.add(EventData(b"x" * 1500))
        with pytest.raises(ValueError):
            producer.create_batch(max_size_in_bytes=2 * 1024 * 1024)


def test_a_list_without_key_goes_to_one_partition(clients):
    with clients.producer() as producer:
        producer.send_batch([EventData(f"{number}") for number in range(10)])
        filled = [
            partition
            for partition in producer.get_partition_ids()
            if producer.get_partition_properties(partition)["last_enqueued_sequence_number"] == 9
        ]
    assert len(filled) == 1


def test_lists_without_key_are_spread_over_the_partitions(clients):
    with clients.producer() as producer:
        for number in range(8):
            producer.send_event(EventData(f"{number}"))
        for partition in producer.get_partition_ids():
            assert not producer.get_partition_properties(partition)["is_empty"]


def test_a_key_chooses_the_partition_of_the_services_hash(clients):
    with clients.producer() as producer:
        for key in KEYS:
            batch = producer.create_batch(partition_key=key)
            batch.add(EventData(f"{key} in a batch"))
            producer.send_batch(batch)
            producer.send_event(EventData(f"{key} alone"), partition_key=key)
    with_place = {}
    with Reader(clients.consumer()) as reader:
        reader.take(2 * len(KEYS))
        for partition, event in zip(reader.partitions, reader.events):
            with_place.setdefault(event.partition_key.decode(), set()).add(partition)
    assert with_place == {key: {partition} for key, partition in KEYS.items()}


def test_an_event_of_almost_a_mebibyte_arrives_whole(clients):
    body = bytes(range(256)) * 4090
    with clients.producer() as producer:
        producer.send_event(EventData(body), partition_id="3")
    [event] = read(clients.consumer(), 1, partition_id="3")
    assert b"".join(event.body) == body


def test_the_hub_describes_itself(clients):
    with clients.producer() as producer:
        properties = producer.get_eventhub_properties()
        assert properties["eventhub_name"] == clients.hub
        assert properties["partition_ids"] == ["0", "1", "2", "3"]
        assert abs((properties["created_at"] - datetime.now(timezone.utc)).total_seconds()) < 600
        assert producer.get_partition_ids() == ["0", "1", "2", "3"]


def test_a_partition_describes_itself_before_and_after_events(clients):
    with clients.producer() as producer:
        empty = producer.get_partition_properties("0")
        assert empty["is_empty"] is True
        assert empty["last_enqueued_sequence_number"] == -1
        assert empty["last_enqueued_offset"] == "-1"
        producer.send_batch([EventData("a"), EventData("b")], partition_id="0")
        filled = producer.get_partition_properties("0")
    [_, last] = read(clients.consumer(), 2, partition_id="0")
    assert filled["eventhub_name"] == clients.hub
    assert filled["id"] == "0"
    assert filled["is_empty"] is False
    assert filled["beginning_sequence_number"] == 0
    assert filled["last_enqueued_sequence_number"] == last.sequence_number == 1
    assert filled["last_enqueued_offset"] == last.offset
    assert filled["last_enqueued_time_utc"] == last.enqueued_time


def test_a_consumer_reads_the_same_properties(clients):
    consumer = clients.consumer()
    assert consumer.get_eventhub_properties()["eventhub_name"] == clients.hub
    assert consumer.get_partition_ids() == ["0", "1", "2", "3"]
    assert consumer.get_partition_properties("3")["is_empty"] is True


def test_a_buffered_producer_delivers_everything_it_was_given(clients):
    delivered, failed = [], []
    done = threading.Event()

    def on_success(events, partition):
        delivered.extend(events)
        if len(delivered) == 200:
            done.set()

    producer = clients.producer(
        buffered_mode=True,
        max_wait_time=1,
        on_success=on_success,
        on_error=lambda events, partition, error: failed.append(error),
    )
    with producer:
        for number in range(200):
            producer.send_event(EventData(f"{number}"), partition_key=f"key {number % 7}")
        producer.flush()
        assert done.wait(20), f"{len(delivered)} delivered, failed: {failed}"
    assert not failed
    arrived = {}
    properties = clients.producer()
    # One partition after another: reading all at once the SDK waits 0.2 s for each empty one before every event.
    for partition in "0123":
        count = properties.get_partition_properties(partition)["last_enqueued_sequence_number"] + 1
        if count:
            for event in read(clients.consumer(), count, partition_id=partition):
                arrived.setdefault(event.partition_key, []).append(int(event.body_as_str()))
    assert sorted(sum(arrived.values(), [])) == list(range(200))
    assert all(numbers == sorted(numbers) for numbers in arrived.values())
