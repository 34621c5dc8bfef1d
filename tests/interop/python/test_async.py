"""The same promises on the SDK's other stack: asyncio, and aiohttp for WebSockets."""

import asyncio
import time

import pytest
from azure.eventhub import EventData
from azure.eventhub.exceptions import AuthenticationError

DEADLINE = 20


class Reader:
    """Runs `consumer.receive` as a task; an async context manager that closes the consumer."""

    def __init__(self, consumer, **receive):
        receive.setdefault("starting_position", "-1")
        self.consumer, self.events, self.errors = consumer, [], []
        self.contexts = {}
        self._changed = asyncio.Condition()
        self._receive = receive

    async def __aenter__(self):
        self._task = asyncio.ensure_future(
            self.consumer.receive(on_event=self._on_event, on_error=self._on_error, **self._receive)
        )
        return self

    async def __aexit__(self, *_):
        # After close() alone `receive` sleeps on, up to its load balancing interval of 30 s.
        self._task.cancel()
        await asyncio.wait([self._task], timeout=DEADLINE)
        await self.consumer.close()

    async def _on_event(self, context, event):
        self.contexts[context.partition_id] = context
        await self._note(self.events, event)

    async def _on_error(self, context, error):
        await self._note(self.errors, error)

    async def _note(self, record, item):
        async with self._changed:
            record.append(item)
            self._changed.notify_all()

    async def until(self, condition):
        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(condition), DEADLINE)

    async def take(self, count):
        await self.until(lambda: len(self.events) >= count)
        return list(self.events)

    def bodies(self):
        return [event.body_as_str() for event in self.events]


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 50))


def test_a_batch_there_and_back(clients):
    async def scenario():
        async with clients.async_producer() as producer:
            batch = await producer.create_batch(partition_id="1")
            for number in range(1000):
                batch.add(EventData(f"{number}"))
            await producer.send_batch(batch)
            await producer.send_event(EventData("by key"), partition_key="device-2")
            assert (await producer.get_eventhub_properties())["partition_ids"] == ["0", "1", "2", "3"]
            assert (await producer.get_partition_properties("1"))["last_enqueued_sequence_number"] == 999
        async with Reader(
            clients.async_consumer(), partition_id="1", track_last_enqueued_event_properties=True
        ) as reader:
            await reader.take(1000)
            assert reader.bodies() == [str(number) for number in range(1000)]
            assert reader.contexts["1"].last_enqueued_event_properties["sequence_number"] == 999
        async with Reader(clients.async_consumer(), partition_id="2") as reader:
            [event] = await reader.take(1)
            assert event.partition_key == b"device-2"

    run(scenario())


@pytest.mark.parametrize(
    ("position", "inclusive", "first"),
    [("-1", False, 0), (4, False, 5), (4, True, 4)],
    ids=["earliest", "behind a number", "from a number"],
)
def test_from_a_position(clients, position, inclusive, first):
    async def scenario():
        async with clients.async_producer() as producer:
            await producer.send_batch([EventData(f"{number}") for number in range(10)], partition_id="0")
        async with Reader(
            clients.async_consumer(),
            partition_id="0",
            starting_position=position,
            starting_position_inclusive=inclusive,
        ) as reader:
            await reader.take(10 - first)
            assert reader.bodies() == [str(number) for number in range(first, 10)]

    run(scenario())


def test_every_partition_at_once(clients):
    async def scenario():
        async with clients.async_producer() as producer:
            for partition in await producer.get_partition_ids():
                await producer.send_batch([EventData(f"of {partition}")] * 50, partition_id=partition)
        async with Reader(clients.async_consumer()) as reader:
            await reader.take(200)
            assert {body: reader.bodies().count(body) for body in reader.bodies()} == {
                f"of {partition}": 50 for partition in range(4)
            }

    run(scenario())


def test_a_higher_owner_level_steals(clients):
    async def scenario():
        async with clients.async_producer() as producer:
            await producer.send_event(EventData("x"), partition_id="0")
        async with Reader(clients.async_consumer(), partition_id="0", owner_level=1) as loser:
            await loser.take(1)
            async with Reader(clients.async_consumer(), partition_id="0", owner_level=2) as winner:
                await winner.take(1)
                await loser.until(lambda: loser.errors)
                assert "amqp:link:stolen" in str(loser.errors[0])
                assert not winner.errors

    run(scenario())


def test_a_wrong_key_fails_fast(clients):
    wrong = clients.connection_string(SharedAccessKey="d3Jvbmc=")

    async def scenario():
        start = time.monotonic()
        async with clients.async_producer(wrong) as producer:
            with pytest.raises(AuthenticationError):
                await producer.send_event(EventData("x"))
        async with Reader(clients.async_consumer(wrong), partition_id="0") as reader:
            await reader.until(lambda: reader.errors)
            assert isinstance(reader.errors[0], AuthenticationError)
        assert time.monotonic() - start < 6

    run(scenario())
