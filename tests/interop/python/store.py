"""The official Python checkpoint store, told what to do line by line by ../blob_store.rs.

python store.py CONNECTION_STRING CONTAINER NAMESPACE HUB GROUP
"""

import asyncio
import json
import sys

from azure.eventhub.extensions.checkpointstoreblobaio import BlobCheckpointStore

connection_string, container, *group = sys.argv[1:]
ids = dict(zip(("fully_qualified_namespace", "eventhub_name", "consumer_group"), group))


def ownership(record):
    return {
        "partition": record["partition_id"],
        "owner": record["owner_id"],
        "etag": record["etag"],
        "modified": int(record["last_modified_time"] * 1000),
    }


async def owners(store, said):
    return [ownership(record) for record in await store.list_ownership(*group)]


async def claim(store, said):
    asked = [
        {**ids, "partition_id": one["partition"], "owner_id": one["owner"], "etag": one.get("etag")}
        for one in said["claims"]
    ]
    return [ownership(record) for record in await store.claim_ownership(asked)]


async def checkpoints(store, said):
    return [
        {"partition": one["partition_id"], "offset": one["offset"], "number": one["sequence_number"]}
        for one in await store.list_checkpoints(*group)
    ]


async def checkpoint(store, said):
    await store.update_checkpoint(
        {
            **ids,
            "partition_id": said["partition"],
            "offset": said["offset"],
            "sequence_number": said["number"],
        }
    )
    return []


VERBS = {"owners": owners, "claim": claim, "checkpoints": checkpoints, "checkpoint": checkpoint}


async def main():
    async with BlobCheckpointStore.from_connection_string(connection_string, container) as store:
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            said = json.loads(line)
            try:
                answer = await VERBS[said["verb"]](store, said)
            except Exception as error:  # what it cannot do is an answer too
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), flush=True)


asyncio.run(main())
