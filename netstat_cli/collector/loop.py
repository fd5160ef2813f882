"""The one thread that talks with all clients, in the clear or with TLS.

A round of the loop takes what has come on all connections, has at most one request of each begun, and sends the answers
that are there (what is done here and what in workers is work.py's). Thousands of agents that hold a connection open
cost no thread. New connections (acceptor.py) come last in a round, when it is known who is idle.

`run` is the loop's thread, and everything here belongs to it but `end`, which is called from any thread. What workers
make comes through `Work.returned`, and a Wake.

What must never happen:

- The loop waits for one client or for a question: it blocks in `select` alone, and for a disk once (work.py).
- One connection's error ends another one, or the loop. Each step for a connection stands in `_guard`.
- The loop goes on without being able to: an error outside `_guard` ends `run`, and with it the process (cli/serve.py).
- A client is waited for without a deadline. Each channel has one, but while its request is being answered.
"""

from __future__ import annotations

import logging
import math
import selectors
import ssl
import time
from collections.abc import Callable, Iterable
from http.server import HTTPServer

from netstat_cli.collector.acceptor import Acceptor, Limits
from netstat_cli.collector.answers import Answers
from netstat_cli.collector.channel import Channel
from netstat_cli.collector.channels import Channels
from netstat_cli.collector.http import HttpError, Request, encode_response, saturated, too_slow
from netstat_cli.collector.memory import Tide, give_back
from netstat_cli.collector.parser import Admit, Phase
from netstat_cli.collector.tasks import Overloaded
from netstat_cli.collector.wake import Wake
from netstat_cli.collector.work import Work

LOG = logging.getLogger(__name__)
CLOSING_S = 10.0
DRAIN_S = 1.0
SLOWEST = 64 << 10
"""Bytes a second: a client that takes a large answer more slowly is cut off."""
MAX_HANDSHAKES = 8
"""A round. A handshake costs 1 to 5 ms; those that wait are taken in the next rounds."""
MAX_IN_WORK = 48 << 20
"""Bytes of bodies that wait to be answered, or are; three of the largest."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Loop:
    """Takes connections from a listening socket and answers on them until it is ended."""

    def __init__(
        self, listener: HTTPServer, answers: Answers, admit: Admit, limits: Limits, tls: ssl.SSLContext | None
    ) -> None:
        self._limits = limits
        self._wake = Wake()
        self._work = Work(answers, self._wake)
        self._selector = selectors.DefaultSelector()
        self._channels = Channels(self._selector)
        self._acceptor = Acceptor(listener, self._selector, self._channels, limits, admit, tls)
        self._pipelined: dict[Channel, None] = {}
        """Connections that were answered and have sent more already."""
        self._tide = Tide()
        self._handshakes = 0
        self._selector.register(self._wake.receiver, selectors.EVENT_READ)

    def run(self, interval_s: float) -> None:
        """Answer until `end`; deadlines are looked at every `interval_s`. Raises what keeps the loop from going on."""
        try:
            self._work.start()
            look = time.monotonic() + interval_s
            while not self._work.is_closing:
                self._round(interval_s)
                if (now_s := time.monotonic()) >= look:
                    look = now_s + interval_s
                    self._end_overdue(now_s)
            self._finish(interval_s)
        finally:
            self._close_all()

    def end(self) -> None:
        """Have the loop answer what it has taken, and return. Called from any thread."""
        self._work.is_closing = True
        self._wake.send()

    def _round(self, timeout_s: float) -> None:
        """Wait for something to come, and answer it."""
        ready, self._pipelined = self._pipelined, {}
        self._handshakes, is_knocking = 0, False
        for key, events in self._selector.select(0.0 if ready else timeout_s):
            channel = key.data
            if key.fileobj is self._acceptor.socket:
                is_knocking = True
            elif channel is None:
                self._wake.take()
            elif events & selectors.EVENT_WRITE:
                self._guard(channel, self._flush)
            elif channel not in ready:  # otherwise it has sent enough for now
                self._guard(channel, self._receive)
                ready[channel] = None
        self._take_returned()
        self._answer(ready)
        if is_knocking:  # last, when it is known who is idle
            for channel in self._acceptor.accept():
                self._guard(channel, self._send_error, saturated("too many connections"))

    def _take_returned(self) -> None:
        """Send the answers that were made elsewhere."""
        while self._work.returned:
            channel, answer, closes = self._work.returned.popleft()
            self._channels.end_work(channel)
            self._guard(channel, self._send, answer, closes)

    def _guard(self, channel: Channel, step: Callable[..., None], *more: object) -> None:
        """Do something for a connection; if it fails, that connection ends and no other."""
        if channel.is_closed:
            return
        try:
            step(channel, *more)
        except OSError:  # the client has gone, or speaks no TLS that we do
            self._channels.close(channel)
        except Exception as error:  # noqa: BLE001  whatever it is, the operator hears of it
            LOG.error("a connection failed: %r", error)
            self._channels.close(channel)

    # Requests come in

    def _receive(self, channel: Channel) -> None:
        """Take what came on a connection."""
        if channel.is_busy:
            self._channels.watch(channel, 0)  # until its answer is sent
            return
        if not channel.stream.is_ready:
            if self._handshakes >= MAX_HANDSHAKES:
                return
            self._handshakes += 1
        data = channel.stream.receive()
        if data:
            if not channel.is_draining:
                channel.parser.feed(data)
        elif data is not None:
            self._channels.close_gracefully(channel)

    def _answer(self, ready: Iterable[Channel]) -> None:
        """Answer one request of each, if it is there. What the store is to write is written as one group."""
        for channel in ready:
            self._guard(channel, self._begin)
        self._work.commit()
        self._take_returned()

    def _begin(self, channel: Channel) -> None:
        """Begin the next request of a connection, if all of it is there."""
        request = self._next_request(channel)
        if request is None or channel.held:
            self._channels.count(channel)
        if request is None:
            if (heaviest := self._channels.heaviest()) is not None:
                self._guard(heaviest, self._relieve)
            return
        if self._channels.in_work and self._channels.in_work + len(request.body) > MAX_IN_WORK:
            self._send_error(channel, saturated("too much waits to be stored"))
            return
        self._channels.begin_work(channel, len(request.body))
        channel.deadline = math.inf
        try:
            self._work.begin(channel, request)
        except Overloaded:
            self._work.refuse(channel, request)

    def _next_request(self, channel: Channel) -> Request | None:
        if channel.is_busy or channel.unsent or channel.is_draining or not channel.stream.is_ready:
            return None
        parser, phase = channel.parser, channel.parser.phase
        try:
            request = parser.next_request()
        except HttpError as error:
            self._send_error(channel, error)
            return None
        if request is None and parser.phase is not phase:
            channel.deadline = time.monotonic() + self._limits.timeout_s(parser.phase)
            self._channels.line_up(channel, self._channels.starting if parser.phase is Phase.HEAD else None)
        if parser.expects_continue():
            channel.queue(CONTINUE)
            self._flush(channel)
        return request

    # Answers go out

    def _send(self, channel: Channel, data: bytes, closes: bool) -> None:
        """Send an answer, now or as the client takes it."""
        channel.closes = closes
        channel.queue(data)
        slowest_s = self._limits.body_timeout_s + len(data) / SLOWEST
        channel.deadline = time.monotonic() + slowest_s
        self._flush(channel)

    def _send_error(self, channel: Channel, error: HttpError) -> None:
        """Send the last answer on a connection whose requests are not read any more."""
        channel.refuse()
        self._channels.line_up(channel, None)
        self._send(channel, encode_response(error.response(), "close"), closes=True)

    def _flush(self, channel: Channel) -> None:
        """Send what waits on a connection, and go on with it when that is all."""
        is_sent = channel.flush()
        if not is_sent or channel.held:
            self._channels.count(channel)
        if not is_sent:
            self._channels.watch(channel, selectors.EVENT_WRITE)
            if (heaviest := self._channels.heaviest()) is not None:
                self._guard(heaviest, self._relieve)
        elif channel.is_draining:
            channel.stream.end()
            channel.deadline = time.monotonic() + DRAIN_S
            self._channels.watch(channel, selectors.EVENT_READ)
        elif channel.closes:
            self._channels.close_gracefully(channel)
        else:
            self._channels.watch(channel, selectors.EVENT_READ)
            if channel.parser.phase is Phase.IDLE and channel.stream.is_ready:
                self._rest(channel)

    def _rest(self, channel: Channel) -> None:
        """Wait for the next request of a connection, of which something may have come already."""
        channel.deadline = time.monotonic() + self._limits.idle_timeout_s
        self._channels.line_up(channel, self._channels.idle)
        if channel.parser.buffered:
            self._pipelined[channel] = None

    def _relieve(self, channel: Channel) -> None:
        """Give back what is kept for a connection, because more is kept for all than may be."""
        if channel.unsent or channel.is_draining or channel.is_busy:
            self._channels.close(channel)
        else:
            self._send_error(channel, saturated("too much waits to be received"))

    # Time

    def _end_overdue(self, now_s: float) -> None:
        for channel in [channel for channel in self._channels if channel.deadline < now_s]:
            self._guard(channel, self._expire)
        self._acceptor.resume(now_s)
        if self._tide.has_ebbed(self._channels.held + self._channels.in_work):
            self._work.do_besides(give_back)

    def _expire(self, channel: Channel) -> None:
        """End what a connection took too long for."""
        if channel.unsent or channel.is_draining or not channel.stream.is_ready:
            self._channels.close(channel)
        elif channel.parser.phase is Phase.IDLE:
            self._channels.close_gracefully(channel)
        else:
            self._send_error(channel, too_slow())

    def _finish(self, interval_s: float) -> None:
        """Stop listening, answer what was taken, and wait until it is sent."""
        self._acceptor.close()
        until = time.monotonic() + CLOSING_S
        self._round(0.0)
        while time.monotonic() < until:
            for channel in [channel for channel in self._channels if not self._is_under_way(channel)]:
                self._guard(channel, self._channels.close_gracefully)
            if not self._channels:
                return
            self._round(interval_s)

    def _is_under_way(self, channel: Channel) -> bool:
        """True if a request of the connection was taken and its answer is not sent."""
        return channel.is_busy or channel.unsent > 0 or channel in self._pipelined

    def _close_all(self) -> None:
        self._acceptor.close()
        for channel in [*self._channels]:
            self._channels.close(channel)
        self._work.close()
        self._selector.close()
        self._wake.close()
