"""Consuming with the official SDK, from every kind of position."""

from datetime import timedelta

import pytest
from azure.eventhub import EventData

from conftest import Clients
from reading import Reader, eventually, read, read_until


class Log:
    """Twenty events in partition 0 of a hub, the last at a later millisecond than the others; as received."""

    def __init__(self, clients):
        self.hub = clients.hub
        with clients.producer() as producer:
            for number in range(19):
                producer.send_event(EventData(f"{number}"), partition_id="0")
            earlier = producer.get_partition_properties("0")["last_enqueued_time_utc"]

            def another_millisecond():
                producer.send_event(EventData("later"), partition_id="1")
                return producer.get_partition_properties("1")["last_enqueued_time_utc"] > earlier

            eventually(another_millisecond, "the emulator's clock moves on")
            producer.send_event(EventData("19"), partition_id="0")
        self.events = read(clients.consumer(), 20, partition_id="0")

    def __getitem__(self, index):
        return self.events[index]


@pytest.fixture(scope="module")
def written(emulator, hub_names, transport):
    """A log that tests share, so none of them may add to it."""
    clients = Clients(emulator, next(hub_names), transport)
    yield Log(clients)
    clients.close()


@pytest.fixture
def log(clients, written):
    """The shared log; `clients` are of its hub."""
    clients.hub = written.hub
    return written


@pytest.fixture
def own_log(clients):
    return Log(clients)


def bodies_from(clients, position, inclusive=False):
    return read_until(
        clients.consumer(),
        "19",
        partition_id="0",
        starting_position=position,
        starting_position_inclusive=inclusive,
    )


def numbers(first):
    return [str(number) for number in range(first, 20)]


def test_from_the_earliest(clients, log):
    assert bodies_from(clients, "-1") == numbers(0)


def test_behind_an_offset(clients, log):
    assert bodies_from(clients, log[7].offset) == numbers(8)


def test_from_an_offset_inclusive(clients, log):
    assert bodies_from(clients, log[7].offset, inclusive=True) == numbers(7)


def test_behind_a_sequence_number(clients, log):
    assert bodies_from(clients, 12) == numbers(13)


def test_from_a_sequence_number_inclusive(clients, log):
    assert bodies_from(clients, 12, inclusive=True) == numbers(12)


def test_behind_a_sequence_number_before_the_first(clients, log):
    assert bodies_from(clients, -1) == numbers(0)


def test_behind_a_time(clients, log):
    time = log[18].enqueued_time
    expected = [event.body_as_str() for event in log.events if event.enqueued_time > time]
    assert expected[-1] == "19"
    assert bodies_from(clients, time) == expected


def test_from_a_time_inclusive(clients, log):
    time = log[18].enqueued_time
    expected = [event.body_as_str() for event in log.events if event.enqueued_time >= time]
    assert "18" in expected
    assert bodies_from(clients, time, inclusive=True) == expected


def test_from_a_time_before_everything(clients, log):
    assert bodies_from(clients, log[0].enqueued_time - timedelta(hours=1)) == numbers(0)


def test_from_the_latest_only_what_comes_later(clients, own_log):
    with clients.producer() as producer, Reader(
        clients.consumer(), partition_id="0", starting_position="@latest"
    ) as reader:
        # Nothing tells when the link is there, so events are sent until one arrives.
        def sent_and_seen():
            producer.send_event(EventData("live"), partition_id="0")
            return reader.events

        eventually(sent_and_seen, "an event behind the latest")
        assert set(reader.bodies()) == {"live"}
        first = reader.events[0].sequence_number
        assert first >= 20
        assert [event.sequence_number for event in reader.events] == list(
            range(first, first + len(reader.events))
        )


def test_from_the_latest_inclusive_starts_at_the_last_event(clients, log):
    assert bodies_from(clients, "@latest", inclusive=True) == ["19"]


def test_waiting_at_the_end_gets_the_next_event(clients, own_log):
    with clients.producer() as producer, Reader(
        clients.consumer(), partition_id="0", starting_position=own_log[-1].offset
    ) as reader:
        producer.send_event(EventData("next"), partition_id="0")
        assert reader.take_until("next") == ["next"]


def test_positions_for_each_partition(clients, own_log):
    with clients.producer() as producer:
        producer.send_event(EventData("end of 1"), partition_id="1")
    with Reader(clients.consumer(), starting_position={"0": 17, "1": "-1", "2": "-1", "3": "-1"}) as reader:
        eventually(lambda: {"19", "end of 1"} <= set(reader.bodies()), "both partitions' ends")
        places = zip(reader.partitions, reader.bodies())
        assert [body for partition, body in places if partition == "0"] == ["18", "19"]


def test_events_come_in_batches_too(clients, log):
    seen = []
    consumer = clients.consumer()

    def on_batch(context, events):
        seen.extend(event.body_as_str() for event in events)
        if "19" in seen:
            consumer.close()

    consumer.receive_batch(on_batch, max_batch_size=7, partition_id="0", starting_position="-1")
    assert seen == numbers(0)


def test_more_events_than_one_window_of_credit(clients):
    with clients.producer() as producer:
        batch = producer.create_batch(partition_id="0")
        for number in range(3000):
            batch.add(EventData(f"{number}"))
        producer.send_batch(batch)
    events = read(clients.consumer(), 3000, partition_id="0", prefetch=100)
    assert [event.body_as_str() for event in events] == [str(number) for number in range(3000)]


def test_each_consumer_group_sees_every_event(clients, log):
    assert read_until(clients.consumer(group="other"), "19", partition_id="0") == numbers(0)
    assert read_until(clients.consumer(group="OTHER"), "19", partition_id="0") == numbers(0)


def test_the_last_enqueued_event_is_tracked(clients, log):
    with Reader(
        clients.consumer(), partition_id="0", track_last_enqueued_event_properties=True
    ) as reader:
        reader.take(20)
        tracked = reader.contexts["0"].last_enqueued_event_properties
    assert tracked["sequence_number"] == 19
    assert tracked["offset"] == log[-1].offset
    assert tracked["enqueued_time"] == log[-1].enqueued_time
    assert tracked["retrieval_time"] >= log[-1].enqueued_time


def test_nothing_is_tracked_unasked(clients, log):
    with Reader(clients.consumer(), partition_id="0") as reader:
        reader.take(20)
        assert reader.contexts["0"].last_enqueued_event_properties is None
