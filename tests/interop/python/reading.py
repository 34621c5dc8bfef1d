"""Receiving in the background, and waiting for what arrives."""

import threading
import time

DEADLINE = 20


def eventually(condition, what, deadline=DEADLINE):
    """Returns the first true value of `condition`; fails when there is none in time."""
    give_up = time.monotonic() + deadline
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > give_up:
            raise AssertionError(f"not within {deadline} s: {what}")
        pause.wait(0.01)


class Reader:
    """Runs `consumer.receive` on a thread; a context manager that closes the consumer."""

    def __init__(self, consumer, **receive):
        self.consumer = consumer
        self.events = []
        self.partitions = []
        self.contexts = {}
        self.errors = []
        self.closed = []
        self._changed = threading.Condition()
        receive.setdefault("starting_position", "-1")
        self._thread = threading.Thread(
            target=consumer.receive,
            kwargs={
                "on_event": self._on_event,
                "on_error": self._on_error,
                "on_partition_close": self._on_close,
                **receive,
            },
            daemon=True,
        )

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.consumer.close()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive(), "receive() did not return after close()"

    def _note(self, record, item):
        with self._changed:
            record.append(item)
            self._changed.notify_all()

    def _on_event(self, context, event):
        self.contexts[context.partition_id] = context
        self.partitions.append(context.partition_id)
        self._note(self.events, event)

    def _on_error(self, context, error):
        self._note(self.errors, error)

    def _on_close(self, context, reason):
        self._note(self.closed, reason)

    def _wait(self, condition, what, deadline):
        with self._changed:
            if not self._changed.wait_for(condition, deadline):
                raise AssertionError(f"not within {deadline} s: {what}; events {self.bodies()}, errors {self.errors}")

    def take(self, count, deadline=DEADLINE):
        """Waits until `count` events have arrived, and returns all that have."""
        self._wait(lambda: len(self.events) >= count, f"{count} events", deadline)
        return list(self.events)

    def take_until(self, body, deadline=DEADLINE):
        """Waits for an event with this body, and returns the bodies up to it: what came, and no more."""
        self._wait(lambda: body in self.bodies(), f"the event {body!r}", deadline)
        bodies = self.bodies()
        return bodies[: bodies.index(body) + 1]

    def first_error(self, deadline=DEADLINE):
        self._wait(lambda: self.errors, "an error", deadline)
        return self.errors[0]

    def bodies(self):
        return [event.body_as_str() for event in self.events]


def read(consumer, count, **receive):
    """The first `count` events."""
    with Reader(consumer, **receive) as reader:
        return reader.take(count)


def read_until(consumer, body, **receive):
    """The bodies up to this one, inclusive."""
    with Reader(consumer, **receive) as reader:
        return reader.take_until(body)
