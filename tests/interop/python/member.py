"""A member of a consumer group, by the official Python SDK: processes and checkpoints every event until its input
ends. Directed by ../group.rs.

    python member.py CONNECTION_STRING HUB STORAGE CONTAINER
"""

import asyncio
import json
import sys

from azure.eventhub import TransportType
from azure.eventhub.aio import EventHubConsumerClient
from azure.eventhub.extensions.checkpointstoreblobaio import BlobCheckpointStore


async def on_event(context, event):
    print(json.dumps({"partition": context.partition_id, "number": event.sequence_number}), flush=True)
    await context.update_checkpoint(event)


async def on_error(context, error):
    # A partition that is lost, and a checkpoint of it, are errors here; losing is what this is about.
    print(context and context.partition_id, repr(error), file=sys.stderr, flush=True)


async def main():
    connection_string, hub, storage, container = sys.argv[1:]
    endpoint = dict(part.split("=", 1) for part in connection_string.split(";") if part)["Endpoint"].rstrip("/")
    store = BlobCheckpointStore.from_connection_string(storage, container)
    consumer = EventHubConsumerClient.from_connection_string(
        # The port would be part of the namespace's name in the store: only an emulator has one, and only here.
        connection_string.replace(endpoint, endpoint.rsplit(":", 1)[0]),
        custom_endpoint_address=endpoint,
        transport_type=TransportType.AmqpOverWebsocket,
        consumer_group="$Default",
        eventhub_name=hub,
        checkpoint_store=store,
        load_balancing_strategy="balanced",
        load_balancing_interval=1,
        partition_ownership_expiration_interval=20,
    )
    async with store, consumer:
        task = asyncio.ensure_future(
            consumer.receive(on_event=on_event, on_error=on_error, starting_position="-1", max_wait_time=None)
        )
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        await consumer.close()
        await task


asyncio.run(main())
