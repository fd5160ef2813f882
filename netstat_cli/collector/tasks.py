"""The few threads that answer what would keep the loop too long, and the bound on what waits for them.

A TaskPool is fed by the loop (and by another pool's workers); its threads run one task at a time, first come, first
served. A pool of a few is enough, for Python runs one thread at a time anyway, and more of them only make each other,
and the loop, wait. What must never happen: that work piles up without bound, that a request starts a thread of its own,
or that a task which fails takes its thread along.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

LOG = logging.getLogger(__name__)
Task = Callable[[], None]


class Overloaded(Exception):
    """As many tasks are waiting as may, or there is no thread to run them."""


class TaskPool:
    """Runs tasks in up to `workers` threads, until closed."""

    def __init__(self, name: str, workers: int, max_waiting: int) -> None:
        self._name = name
        self._workers = workers
        self._max_waiting = max_waiting
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._running: set[str] = set()
        """The names of the threads that have a task."""
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the threads that are missing, as far as the system lets it."""
        while len(self._threads) < self._workers:
            name = f"{self._name}-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # "can't start new thread": the limit of processes, or no memory for a stack
                LOG.warning("cannot start a thread for %s: %s", self._name, error)
                return
            self._threads.append(thread)

    @property
    def is_idle(self) -> bool:
        """True if nothing waits and nothing is being done. Another thread may change that at any time."""
        return not self._running and self._tasks.empty()

    def require(self) -> None:
        """Raises Overloaded if no further task can be taken now."""
        if len(self._threads) < self._workers:
            self.start()
        if not self._threads or self._tasks.qsize() >= self._max_waiting:
            raise Overloaded

    def submit(self, task: Task) -> None:
        """Have a task run. Raises Overloaded."""
        self.require()
        self._tasks.put(task)

    def close(self) -> None:
        """Have the threads end after what is waiting. Does not wait for them."""
        for _ in self._threads:
            self._tasks.put(None)

    def _work(self) -> None:
        name = threading.current_thread().name
        while (task := self._tasks.get()) is not None:
            self._running.add(name)
            try:
                task()
            except Exception as error:  # noqa: BLE001  the next task must find a thread
                LOG.error("a task of %s failed: %r", self._name, error)
            del task  # or what it holds stays until the next one comes
            self._running.discard(name)
