"""Starts `eventhubs emulator` and ends it by its process id."""

import json
import os
import queue
import signal
import subprocess
import threading

START_DEADLINE = 30


class Emulator:
    """A running emulator; a context manager."""

    def __init__(self, *arguments):
        program = os.environ.get("EVENTHUBS_BIN")
        if not program:
            raise RuntimeError("EVENTHUBS_BIN must hold the path of the `eventhubs` binary")
        command = [program, "emulator", "--json", "--port", "0", "--one-port", *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        lines = queue.Queue()
        threading.Thread(target=lambda: lines.put(self._process.stdout.readline()), daemon=True).start()
        try:
            line = lines.get(timeout=START_DEADLINE)
        except queue.Empty:
            self.stop()
            raise RuntimeError(f"nothing printed within {START_DEADLINE} s by {command}") from None
        if not line:
            raise RuntimeError(f"ended with {self._process.wait(5)} before it listened: {command}")
        self.announcement = json.loads(line)
        self.connection_string = self.announcement["connectionString"]
        self.port = self.announcement["port"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
