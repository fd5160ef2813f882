"""The table of open connections: how many there may be, who has to go for others, and how much they make us keep.

Touched by the loop's thread alone. Two lines, each in order of arrival, say who goes first when there are too many
connections: `idle` (between two requests; whoever asked least recently is in front) and `starting` (a handshake or a
head that is not whole: nobody knows yet whether it may ask anything). Whoever sends a body or waits for an answer
stands in neither, and is not closed for the sake of others.

A connection is open exactly while it is in the table: so no slot for one is ever lost.

The bytes that are kept for all of them together, requests that are not whole and answers that are not sent, have a
bound too; when it is passed, whoever makes us keep most goes.
"""

from __future__ import annotations

import selectors
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from netstat_cli.collector.channel import Channel

MAX_HELD = 64 << 20
"""Bytes kept for all connections together, leaving out the one that holds most: a single large answer passes."""
MAX_LOOKS = 16
Line = dict[Channel, None]


class Channels:
    """All open connections."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._all: set[Channel] = set()
        self.idle: Line = {}
        self.starting: Line = {}
        self.held = 0
        """Bytes of requests that are not whole and of answers that are not sent."""
        self.in_work = 0
        """Bytes of the bodies of requests that wait to be answered or are."""

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Channel]:
        return iter(self._all)

    def add(self, channel: Channel, line: Line) -> None:
        """Take a new connection in. Raises OSError."""
        self.watch(channel, selectors.EVENT_READ)
        self._all.add(channel)
        self.line_up(channel, line)

    def watch(self, channel: Channel, events: int) -> None:
        """Have the selector look for these events, or (0) for none. Raises OSError."""
        if events == channel.watched:
            return
        if not channel.watched:
            self._selector.register(channel.socket, events, channel)
        elif events:
            self._selector.modify(channel.socket, events, channel)
        else:
            with suppress(KeyError):  # modify forgets a socket with which it fails
                self._selector.unregister(channel.socket)
        channel.watched = events

    def close(self, channel: Channel) -> None:
        """End a connection at once, whatever is still to be said on it."""
        if channel.is_closed:
            return
        self.watch(channel, 0)
        self._all.remove(channel)
        self.line_up(channel, None)
        self.held -= channel.held
        self.in_work -= channel.in_work
        channel.held = channel.in_work = 0
        channel.close()

    def close_gracefully(self, channel: Channel) -> None:
        """End a connection after what was sent on it."""
        with suppress(OSError):
            channel.stream.end()
        self.close(channel)

    def line_up(self, channel: Channel, line: Line | None) -> None:
        """Put a connection at the end of a line, or (None) in none."""
        if channel.line is not None:
            del channel.line[channel]
        channel.line = line
        if line is not None:
            line[channel] = None

    def begin_work(self, channel: Channel, size: int) -> None:
        """Count a request of this size as being answered; it leaves the lines."""
        self.line_up(channel, None)
        channel.is_busy = True
        channel.in_work = size
        self.in_work += size

    def end_work(self, channel: Channel) -> None:
        """Count the request as answered."""
        channel.is_busy = False
        self.in_work -= channel.in_work
        channel.in_work = 0

    def count(self, channel: Channel) -> None:
        """Count the bytes that are kept for a connection now."""
        held = channel.parser.buffered + channel.unsent
        if held != channel.held:
            self.held += held - channel.held
            channel.held = held

    def longest_idle(self) -> Channel | None:
        """Choose who goes first when there is no room for one more. A connection on which something has come by now is
        not idle and goes to the end of its line."""
        for channel in [*islice(self.idle, MAX_LOOKS)]:
            if not channel.has_come():
                return channel
            self.line_up(channel, self.idle)
        return next(iter(self.starting), None)

    def heaviest(self) -> Channel | None:
        """Choose who goes if more is kept than may be: whoever holds most; None if all is well."""
        if self.held <= MAX_HELD:
            return None
        heaviest = max(self._all, key=_held)
        return heaviest if self.held - heaviest.held > MAX_HELD else None


def _held(channel: Channel) -> int:
    return channel.held
