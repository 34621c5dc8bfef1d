"""Owner levels, the number of readers, and two processors that share a hub."""

import pytest
from azure.eventhub import CloseReason, EventData
from azure.eventhub._eventprocessor.in_memory_checkpoint_store import InMemoryCheckpointStore
from azure.eventhub.exceptions import ConnectionLostError, EventHubError

from reading import Reader, eventually, read


@pytest.fixture
def producer(clients):
    producer = clients.producer()
    producer.send_event(EventData("first"), partition_id="0")
    return producer


def test_a_higher_owner_level_steals_the_partition(clients, producer):
    with Reader(clients.consumer(), partition_id="0", owner_level=1) as loser:
        loser.take(1)
        with Reader(clients.consumer(), partition_id="0", owner_level=2) as winner:
            winner.take(1)
            error = loser.first_error()
            assert isinstance(error, ConnectionLostError)
            assert "amqp:link:stolen" in str(error)
            eventually(lambda: CloseReason.OWNERSHIP_LOST in loser.closed, "the loser closes its partition")
            producer.send_event(EventData("second"), partition_id="0")
            winner.take(2)
            assert "second" not in loser.bodies()
            assert not winner.errors


def test_a_lower_owner_level_is_refused(clients, producer):
    with Reader(clients.consumer(), partition_id="0", owner_level=5) as holder:
        holder.take(1)
        with Reader(clients.consumer(), partition_id="0", owner_level=4) as late:
            error = late.first_error()
            assert "amqp:link:stolen" in str(error)
            assert "higher epoch '5'" in str(error)
        producer.send_event(EventData("second"), partition_id="0")
        holder.take(2)
        assert not holder.errors


def test_an_owner_keeps_readers_without_level_out(clients, producer):
    with Reader(clients.consumer(), partition_id="0", owner_level=0) as owner:
        owner.take(1)
        with Reader(clients.consumer(), partition_id="0") as plain:
            assert "non-epoch receiver is not allowed" in str(plain.first_error())
        assert not owner.errors


def test_an_owner_disconnects_readers_without_level(clients, producer):
    with Reader(clients.consumer(), partition_id="0") as plain:
        plain.take(1)
        with Reader(clients.consumer(), partition_id="0", owner_level=1) as owner:
            owner.take(1)
            assert "amqp:link:stolen" in str(plain.first_error())


def test_levels_of_other_groups_and_partitions_do_not_matter(clients, producer):
    producer.send_event(EventData("elsewhere"), partition_id="1")
    with Reader(clients.consumer(), partition_id="0", owner_level=9) as one:
        one.take(1)
        with Reader(clients.consumer(group="other"), partition_id="0", owner_level=1) as two:
            two.take(1)
            with Reader(clients.consumer(), partition_id="1", owner_level=1) as three:
                three.take(1)
                assert not one.errors and not two.errors and not three.errors


def test_a_sixth_reader_of_a_partition_is_refused(clients, producer):
    readers = [Reader(clients.consumer(), partition_id="0").__enter__() for _ in range(5)]
    try:
        for reader in readers:
            reader.take(1)
        # With retries the blocking SDK starts over for ever, without a word.
        with Reader(clients.consumer(retry_total=0), partition_id="0") as sixth:
            error = str(sixth.first_error())
            assert "amqp:resource-limit-exceeded" in error
            assert "maximum number of allowed receivers" in error
    finally:
        for reader in readers:
            reader.__exit__()
    assert read(clients.consumer(), 1, partition_id="0")


def test_two_processors_share_the_partitions(clients, producer):
    store = InMemoryCheckpointStore()
    balance = {"load_balancing_interval": 0.3, "partition_ownership_expiration_interval": 10}
    assigned = {"one": set(), "two": set()}

    def start(name):
        consumer = clients.consumer(checkpoint_store=store, **balance)
        return Reader(
            consumer,
            on_partition_initialize=lambda context: assigned[name].add(context.partition_id),
        )

    with start("one") as one:
        eventually(lambda: len(assigned["one"]) == 4, "the first owns everything")
        with start("two") as two:
            eventually(lambda: len(assigned["two"]) == 2, "the second takes its half")
            for number, partition in enumerate(producer.get_partition_ids()):
                producer.send_event(EventData(f"shared {number}"), partition_id=partition)
            shared = {f"shared {number}" for number in range(4)}
            eventually(lambda: shared <= set(one.bodies()) | set(two.bodies()), "every event, by one of them")
            assert {f"shared {p}" for p in assigned["two"]} <= set(two.bodies())
            for error in one.errors + two.errors:
                assert isinstance(error, EventHubError) and "amqp:link:stolen" in str(error)
