"""The official Python SDK, with its defaults, while the emulator goes away and comes back; see ledger.mjs, which keeps the
same books.

    python sdk.py CONNECTION_STRING HUB PARTITION GROUP
"""

import json
import sys
import threading
import time

from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient

PACE = 0.02
READY = 20
QUIET = 5


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.sent = self.failed = self.unknown = 0
        self.acknowledged = {}
        self.received = {}
        self.last_received = self.back = self.first_acknowledged = self.first_received = None
        self.longest_silence = 0
        self.told = {}
        self.said = set()
        self.stopping = False

    def tell(self, what):
        with self.lock:
            self.told[what] = self.told.get(what, 0) + 1

    def acknowledge(self, number):
        with self.lock:
            now = time.monotonic()
            self.acknowledged[number] = now
            if self.back is not None and self.first_acknowledged is None:
                self.first_acknowledged = now - self.back
            self.check()

    def receive(self, number, sequence_number):
        with self.lock:
            now = time.monotonic()
            self.received.setdefault(number, []).append(sequence_number)
            if self.last_received is not None:
                self.longest_silence = max(self.longest_silence, now - self.last_received)
            self.last_received = now
            if self.back is not None and self.first_received is None:
                self.first_received = now - self.back
            self.check()

    def say(self, line):
        if line not in self.said:
            self.said.add(line)
            print(line, flush=True)

    def check(self):
        if len(self.acknowledged) >= READY and len(self.received) >= READY:
            self.say("ready")
        if self.first_acknowledged is not None and self.first_received is not None:
            self.say("working")

    def end(self):
        stopped = time.monotonic()
        while True:
            with self.lock:
                complete = all(number in self.received for number in self.acknowledged)
                quiet = time.monotonic() - max(stopped, self.last_received or 0)
            if complete or quiet > QUIET:
                break
            time.sleep(0.1)
        with self.lock:
            missing = [at for number, at in self.acknowledged.items() if number not in self.received]
            after = [at for at in missing if self.back is not None and at >= self.back]
            milliseconds = lambda seconds: None if seconds is None else round(seconds * 1000)
            report = {
                "sent": self.sent,
                "acknowledged": len(self.acknowledged),
                "failed": self.failed,
                "unknown": self.unknown,
                "received": len(self.received),
                "missingBefore": len(missing) - len(after),
                "missingAfter": len(after),
                "repeated": sum(len(all_) - len(set(all_)) for all_ in self.received.values()),
                "storedTwice": sum(len(set(all_)) - 1 for all_ in self.received.values()),
                "longestSilenceMs": milliseconds(self.longest_silence),
                "firstAcknowledgedMs": milliseconds(self.first_acknowledged),
                "firstReceivedMs": milliseconds(self.first_received),
                "told": self.told,
            }
            print(f"ledger {json.dumps(report)}", flush=True)


def obey(ledger):
    for line in sys.stdin:
        word = line.strip()
        if word == "back":
            with ledger.lock:
                ledger.back = time.monotonic()
        if word == "stop":
            break
    ledger.stopping = True


def name(error):
    return str(getattr(error, "error", None) or type(error).__name__)


def main():
    connection_string, hub, partition, group = sys.argv[1:]
    ledger = Ledger()
    threading.Thread(target=obey, args=[ledger], daemon=True).start()
    consumer = EventHubConsumerClient.from_connection_string(connection_string, group, eventhub_name=hub)

    def on_event(_context, event):
        ledger.receive(int(event.body_as_str()), event.sequence_number)

    def on_error(_context, error):
        ledger.tell(f"receive: {name(error)}")

    def receive():
        options = {"partition_id": partition, "starting_position": "-1"}
        consumer.receive(on_event=on_event, on_error=on_error, **options)

    threading.Thread(target=receive, daemon=True).start()
    producer = EventHubProducerClient.from_connection_string(connection_string, eventhub_name=hub)
    number = 0
    while not ledger.stopping:
        ledger.sent += 1
        try:
            producer.send_event(EventData(str(number)), partition_id=partition)
            ledger.acknowledge(number)
        except Exception as error:  # pylint: disable=broad-except
            # It does not say whether what was sent may have been stored.
            ledger.unknown += 1
            ledger.tell(f"send: {name(error)}")
        number += 1
        time.sleep(PACE)
    ledger.end()


main()
