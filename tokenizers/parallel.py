"""Large batches in several processes.

Workers are started as programs of their own, not forked and not through the `multiprocessing` of the caller: threads
(torch has many), an unguarded `__main__` and the start method do not matter to them. They import no torch. A copy of
this process that was forked off later does not touch the workers of its parent, and encodes alone.
"""

from __future__ import annotations

import marshal
import os
import pickle
import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

from .cuts import Details
from .sequence import Source, TextEncoder

PAYS = 1 << 18  # characters: a smaller batch is encoded faster than it is sent
PAYS_STARTING = 1 << 22  # so large a batch is worth starting workers for
_TASK = 1 << 17  # characters that are sent at once
_PACKAGE = __package__.rpartition(".")[0]
_ROOT = Path(__file__).resolve().parent.parent
_PROGRAM = """
import importlib, importlib.util, sys
name, root, *sys.path = sys.argv[1:]
spec = importlib.util.spec_from_file_location(name, root + "/__init__.py", submodule_search_locations=[root])
sys.modules[name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[name])
importlib.import_module(name + ".tokenizers.parallel").serve(sys.stdin.buffer, sys.stdout.buffer)
"""

Encoded = list[int] | Details


class Workers:
    """Encodes lists of sources: `encode(sources, detailed, count)` gives ids, or details, one for each source."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._lock = threading.Lock()
        self._running: list[subprocess.Popen[bytes]] = []
        self._owner = self._version = 0
        self._stop: weakref.finalize | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Workers, (self._encoder,)  # a copy starts its own

    def encode(self, sources: Sequence[Source], detailed: bool, count: int) -> list[Encoded]:
        sizes = [_size(source) for source in sources] if count > 1 else []
        if count > 1 and sum(sizes) >= PAYS and self._lock.acquire(blocking=False):
            try:
                if self._ready(count, sum(sizes)):
                    return self._shared_out(_tasks(sources, sizes), detailed)
            finally:
                self._lock.release()
        return encoded(self._encoder, sources, detailed)

    def stop(self) -> None:
        """Ends the workers. They also end with this process."""
        if self._stop is not None:
            self._stop()
        self._running, self._stop = [], None

    def _ready(self, count: int, size: int) -> bool:
        """Whether `count` workers know the encoder as it is now."""
        if self._running and self._owner != os.getpid():
            return False
        version = self._encoder.added.version
        if len(self._running) == count and self._version == version:
            return True
        if size < PAYS_STARTING:
            return False
        self.stop()
        self._running = [_started() for _ in range(count)]
        self._owner, self._version = os.getpid(), version
        self._stop = weakref.finalize(self, _end, self._running, self._owner)
        state = pickle.dumps(self._encoder, pickle.HIGHEST_PROTOCOL)
        try:
            for worker in self._running:
                _send(worker.stdin, state)
        except OSError:
            self.stop()
            return False
        return True

    def _shared_out(self, tasks: list[list[Source]], detailed: bool) -> list[Encoded]:
        """Each worker takes the next task when it is done with one; what fails there is done here."""
        results: list[list[Encoded] | None] = [None] * len(tasks)
        waiting = iter(range(len(tasks)))
        taking = threading.Lock()

        def drive(worker: subprocess.Popen[bytes]) -> None:
            while True:
                with taking:
                    number = next(waiting, None)
                if number is None:
                    return
                _send(worker.stdin, marshal.dumps((tasks[number], detailed), 2))
                answer = marshal.loads(_receive(worker.stdout))
                if answer is not None:
                    results[number] = [Details(*each) for each in answer] if detailed else answer

        with ThreadPoolExecutor(len(self._running)) as pool:
            done = [pool.submit(drive, worker) for worker in self._running]
        if any(each.exception() is not None for each in done):
            self.stop()
        return [
            each for task, result in zip(tasks, results, strict=True)
            for each in (encoded(self._encoder, task, detailed) if result is None else result)
        ]


def encoded(encoder: TextEncoder, sources: Sequence[Source], detailed: bool) -> list[Encoded]:
    """In this process."""
    return list(map(encoder.details, sources)) if detailed else encoder.many_ids(sources)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """What a worker does: an encoder first, then tasks, until there are no more."""
    try:
        encoder = pickle.loads(_receive(requests))
        while True:
            sources, detailed = marshal.loads(_receive(requests))
            try:
                found = [
                    (each.ids, each.offsets, each.sizes) if detailed else each
                    for each in encoded(encoder, sources, detailed)
                ]
            except Exception:  # it will be raised, and explained, where the text came from
                found = None
            _send(answers, marshal.dumps(found, 2))
    except (EOFError, BrokenPipeError):
        return


def _size(source: Source) -> int:
    return len(source) if isinstance(source, str) else sum(map(len, source))


def _tasks(sources: Sequence[Source], sizes: list[int]) -> list[list[Source]]:
    tasks: list[list[Source]] = []
    held = _TASK
    for source, size in zip(sources, sizes, strict=True):
        if held >= _TASK:
            tasks.append([])
            held = 0
        tasks[-1].append(source)
        held += size
    return tasks


def _started() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-c", _PROGRAM, _PACKAGE, str(_ROOT), *sys.path]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)


def _end(workers: list[subprocess.Popen[bytes]], owner: int) -> None:
    if os.getpid() != owner:  # they are those of the process this one was forked off
        return
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.communicate()


def _send(stream: BinaryIO | None, data: bytes) -> None:
    stream.write(struct.pack("<Q", len(data)))
    stream.write(data)
    stream.flush()


def _receive(stream: BinaryIO | None) -> bytes:
    size = stream.read(8)
    if len(size) < 8:
        raise EOFError
    data = stream.read(struct.unpack("<Q", size)[0])
    return data
