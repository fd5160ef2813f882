"""New connections: taken while there is room, in place of an idle one where there is none, and with what they need.

Called by the loop's thread. Two things can be short: the connections that there may be (Limits), and the descriptors
of the process, which the store needs too. In both cases the longest idle connection goes first; its client comes again
when it has something to say. Where none can go, one connection more is told so, and without descriptors, where not even
that can be said, none is taken for PAUSE_S: `select` would return at once for ever, since the client still waits.
"""

from __future__ import annotations

import errno
import logging
import math
import selectors
import socket
import ssl
import time
from contextlib import suppress
from http.server import HTTPServer
from typing import NamedTuple

from netstat_cli.collector.channel import Channel, PlainStream, TlsStream
from netstat_cli.collector.channels import Channels
from netstat_cli.collector.parser import Admit, Phase, RequestParser

LOG = logging.getLogger(__name__)
PAUSE_S = 1.0
MAX_ACCEPTS = 64
"""A round."""
MAX_REFUSED = 64
"""Connections beyond the limit that are kept a moment to read that there is no room."""
NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Limits(NamedTuple):
    """How much one client may ask for: connections of all clients, and seconds."""

    max_connections: int = 16_384
    """Some 10 KiB each in the clear, 30 with TLS."""
    idle_timeout_s: float = 75.0
    """Between two requests."""
    header_timeout_s: float = 10.0
    """For a handshake, and for a request line with its headers, however they trickle in."""
    body_timeout_s: float = 60.0
    """For a body, and for taking an answer."""

    def timeout_s(self, phase: Phase) -> float:
        """How long a connection may be in this phase."""
        if phase is Phase.IDLE:
            return self.idle_timeout_s
        return self.header_timeout_s if phase is Phase.HEAD else self.body_timeout_s


class Acceptor:
    """Takes connections from a listening socket into the table."""

    def __init__(
        self,
        listener: HTTPServer,
        selector: selectors.BaseSelector,
        channels: Channels,
        limits: Limits,
        admit: Admit,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.socket = listener.socket
        self._listener = listener
        self._selector = selector
        self._channels = channels
        self._limits = limits
        self._admit = admit
        self._tls = tls
        self._listen_again = math.inf
        self.socket.setblocking(False)
        selector.register(self.socket, selectors.EVENT_READ)

    def accept(self) -> list[Channel]:
        """Take new connections; those among them for which there is no room, to be told so."""
        refused: list[Channel] = []
        for number in range(MAX_ACCEPTS):
            try:
                opened, _ = self._listener.get_request()
            except OSError as error:  # later ones say EMFILE also where nobody waits
                if number == 0 and error.errno in NO_DESCRIPTORS and self._free_descriptor(error):
                    continue
                break
            if self._has_room():
                self._open(opened)
            elif self._tls is None and len(self._channels) < self._limits.max_connections + MAX_REFUSED:
                refused += self._open(opened)
            else:
                opened.close()
        return refused

    def _has_room(self) -> bool:
        """True if one more connection may be open, if need be after another one has been closed."""
        if len(self._channels) < self._limits.max_connections:
            return True
        if (channel := self._channels.longest_idle()) is None:
            return False
        self._channels.close_gracefully(channel)
        return True

    def _free_descriptor(self, error: OSError) -> bool:
        """True if an idle connection could be closed to make room; otherwise none is taken for a while."""
        LOG.warning("cannot take a connection: %s", error.strerror)
        if (channel := self._channels.longest_idle()) is not None:
            self._channels.close(channel)
            return True
        self._selector.unregister(self.socket)
        self._listen_again = time.monotonic() + PAUSE_S
        return False

    def _open(self, opened: socket.socket) -> list[Channel]:
        """The connection as a channel; none where the client has gone again, or the system has no room for it."""
        try:
            opened.setblocking(False)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = PlainStream(opened) if self._tls is None else TlsStream(opened, self._tls)
            channel = Channel(opened, stream, RequestParser(self._admit))
            phase = Phase.IDLE if stream.is_ready else Phase.HEAD
            channel.deadline = time.monotonic() + self._limits.timeout_s(phase)
            self._channels.add(channel, self._channels.idle if stream.is_ready else self._channels.starting)
        except OSError as error:
            LOG.info("a new connection failed: %s", error.strerror)
            opened.close()
            return []
        return [channel]

    def resume(self, now_s: float) -> None:
        """Listen again when the pause is over."""
        if self._listen_again < now_s:
            self._listen_again = math.inf
            self._selector.register(self.socket, selectors.EVENT_READ)

    def close(self) -> None:
        """Listen no more."""
        with suppress(KeyError, ValueError):
            self._selector.unregister(self.socket)
        self._listener.server_close()
