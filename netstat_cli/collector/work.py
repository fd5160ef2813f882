"""Requests on their way to answers: what is done in the loop, what in which worker, and how much may wait.

What is quick is begun in the loop; the store then writes the samples of all requests of a round as one group. That is
done in the loop too as long as it is quick, for a thread that is woken for each group costs a quarter of the throughput
where cores are busy; while the disk is slow, or a large batch is being written, it is done in a thread of its own, so
that a slow disk holds up its own answers and nothing else. All that takes longer is begun in a worker.

A request is refused with Overloaded before anything of it is begun, and its connection goes on. Whatever was begun ends
in `returned`, once, with an answer; the loop is woken when that happens elsewhere.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from contextlib import suppress
from functools import partial

from netstat_cli.collector.answers import Answers, Lane
from netstat_cli.collector.channel import Channel
from netstat_cli.collector.http import PendingResponse, Request, Response, encode_response, saturated
from netstat_cli.collector.tasks import Overloaded, Task, TaskPool
from netstat_cli.collector.wake import Wake

LOG = logging.getLogger(__name__)
MAX_WAITING = 1024
"""Tasks of each kind; of bodies that wait, the loop bounds the bytes as well."""
QUICK_COMMIT_S = 0.02
"""A group of a hundred heartbeats and its sync take 10 ms on a disk that is well; a bystander may wait 250."""
TOO_MANY = "too many requests wait to be answered"
Begun = tuple[Channel, Request, Response | PendingResponse]


class Work:
    """Has requests answered."""

    def __init__(self, answers: Answers, wake: Wake) -> None:
        self._answers = answers
        self._wake = wake
        self.is_closing = False
        """True once every answer is the last one on its connection."""
        self.returned: deque[tuple[Channel, bytes, bool]] = deque()
        """Answers that were made, and if the connection ends with them."""
        self._group: list[Begun] = []
        """What the store is to write next."""
        self._is_group_under_way = False
        self._commit_s = 0.0
        """How long the store took for the group that it wrote last."""
        self._commits = TaskPool("commits", 1, MAX_WAITING)
        self.lanes = {
            Lane.BATCH: TaskPool("batches", 1, MAX_WAITING),
            Lane.VIEW: TaskPool("views", 1, MAX_WAITING),
            Lane.QUERY: TaskPool("queries", 2, MAX_WAITING),
        }

    def start(self) -> None:
        """Start the workers."""
        for pool in (self._commits, *self.lanes.values()):
            pool.start()

    def close(self) -> None:
        """Have the workers end after what is waiting."""
        for pool in (self._commits, *self.lanes.values()):
            pool.close()

    def begin(self, channel: Channel, request: Request) -> None:
        """Begin a request, here or in a worker. Called by the loop. Raises Overloaded."""
        if (lane := self._answers.lane(request)) is not Lane.QUICK:
            self.lanes[lane].submit(partial(self._begin_elsewhere, channel, request))
            return
        if not self._answers.needs_nothing(request):
            self._commits.require()
        begun = self._answers.start(request)
        if callable(begun):
            self._group.append((channel, request, begun))
        else:
            self.returned.append((channel, *self._encode(request, begun)))

    def commit(self) -> None:
        """Have the store write what was begun since the last time. Called by the loop.

        While a group waits in the thread, what comes is gathered for the next one: each connection has at most one
        request in it, so that a disk which stands still makes agents wait, and refuses none."""
        if not self._group or self._is_group_under_way:
            return
        group, self._group = self._group, []
        if self._commit_s < QUICK_COMMIT_S and self._commits.is_idle:
            self._settle(group)
            return
        self._is_group_under_way = True
        try:
            self._commits.submit(partial(self._settle_group, group))
        except Overloaded:  # since the first of them was begun: what they sent is stored with the next group
            self._is_group_under_way = False
            self._settle([(channel, request, saturated(TOO_MANY).response()) for channel, request, _ in group])

    def refuse(self, channel: Channel, request: Request) -> None:
        """Answer a request that was refused with Overloaded. Called by the loop."""
        self.returned.append((channel, *self._encode(request, saturated(TOO_MANY).response())))

    def do_besides(self, task: Task) -> None:
        """Have something done when there is time for it, or not at all. Called by the loop."""
        with suppress(Overloaded):
            self.lanes[Lane.QUERY].submit(task)

    def _begin_elsewhere(self, channel: Channel, request: Request) -> None:
        """Answer a request that takes a while. Called in a worker."""
        try:
            self._commits.require()
            begun = self._answers.respond(request)
            if callable(begun):
                self._commits.submit(partial(self._settle_and_wake, [(channel, request, begun)]))
                return
        except Overloaded:
            begun = saturated(TOO_MANY).response()
        self._settle_and_wake([(channel, request, begun)])

    def _settle_group(self, group: list[Begun]) -> None:
        """Finish what `commit` has handed over. Called in a worker."""
        self._settle(group)
        self._is_group_under_way = False  # before the wake, with which the loop looks at it again
        self._wake.send()

    def _settle_and_wake(self, group: list[Begun]) -> None:
        """As `_settle`. Called in a worker."""
        self._settle(group)
        self._wake.send()

    def _settle(self, group: list[Begun]) -> None:
        """Finish answers and leave them in `returned`. The first one's samples are written with those of all
        others, and tell how quick the store is."""
        begun_s = time.monotonic()
        for number, (channel, request, begun) in enumerate(group):
            try:
                answer = self._encode(request, self._answers.finish(request, begun))
            except Exception as error:  # noqa: BLE001  whatever it is, the connection comes back
                LOG.error("an answer failed: %r", error)
                answer = b"", True
            self.returned.append((channel, *answer))
            if number == 0 and callable(begun):
                self._commit_s = time.monotonic() - begun_s

    def _encode(self, request: Request, response: Response) -> tuple[bytes, bool]:
        """An answer's bytes, and if the connection ends with it."""
        connection = "close" if self.is_closing or response.closes else request.connection
        return encode_response(response, connection, request.method != "HEAD"), connection == "close"
