"""The answer to every request, whatever happens while it is made.

Called by the loop (`lane`, `start`) and by workers (`respond`, `finish`). None of them raises: what goes wrong is an
answer to the client and, where it is the collector's own trouble, a message to the operator. The two are not the same
text: a client must not read a path of this machine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum
from http import HTTPStatus
from typing import TypeVar

from netstat_cli.collector.access import OPEN_PATHS
from netstat_cli.collector.http import RETRY_AFTER, HttpError, PendingResponse, Request, Response, invalid
from netstat_cli.collector.routes import STORING, Collector, is_quick, route
from netstat_cli.collector.unpacking import unpack
from netstat_cli.errors import InvalidSample, NetcliError, StoreFull

LOG = logging.getLogger(__name__)
QUICK_BODY = 1 << 16
"""Some fifty lines, three milliseconds: what one round of the loop may spend on one client."""
FROM_FILES = ("/api/v1/servers/", "/api/v1/metrics/")
T = TypeVar("T")


class Lane(Enum):
    """Who answers a request."""

    QUICK = "the loop"
    BATCH = "the worker that takes large batches, one at a time, for each may be hundreds of megabytes as samples"
    VIEW = "the worker that answers from memory, so that the state of all nodes is there beside any question"
    QUERY = "a worker that answers questions from files"


class Answers:
    """Makes answers, and tells the operator of troubles."""

    def __init__(self, collector: Collector) -> None:
        self.collector = collector

    def lane(self, request: Request) -> Lane:
        """Choose who answers a request."""
        if self.needs_nothing(request) or (is_quick(request) and len(request.body) <= QUICK_BODY):
            return Lane.QUICK
        if request.path in STORING and request.body:
            return Lane.BATCH
        return Lane.QUERY if request.path.startswith(FROM_FILES) else Lane.VIEW

    def needs_nothing(self, request: Request) -> bool:
        """True if the answer waits neither for the store nor for a worker, so that it is given in all trouble."""
        return request.path in OPEN_PATHS

    def start(self, request: Request) -> Response | PendingResponse:
        """Answer a request, or have its samples wait for the store."""
        return self._attempt(request, lambda: route(self.collector, request))

    def finish(self, request: Request, begun: Response | PendingResponse) -> Response:
        """Answer a request that was started, once the store has written its samples."""
        return self._attempt(request, begun) if callable(begun) else begun

    def respond(self, request: Request) -> Response | PendingResponse:
        """As `start`, for a body that may be packed."""
        try:
            request = unpack(request)
        except HttpError as error:
            return error.response()._replace(closes=True)
        return self.start(request)

    def _attempt(self, request: Request, task: Callable[[], T]) -> T | Response:
        """What the task comes to, or the answer that says what went wrong."""
        try:
            return task()
        except HttpError as error:
            return error.response()
        except InvalidSample as error:
            return invalid(error)
        except StoreFull as error:
            LOG.warning("%s", error.message)
            message = "no space left to store samples; nothing was acknowledged"
            return HttpError(HTTPStatus.INSUFFICIENT_STORAGE, "STORE_FULL", message, RETRY_AFTER).response()
        except NetcliError as error:
            LOG.warning("%s", error.message)
            message = "the store cannot do this now; the collector's log says why"
            return HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE", message, RETRY_AFTER).response()
        except Exception as error:  # noqa: BLE001  the client must get an answer and the operator a word
            LOG.error("%s %r failed: %r", request.method, request.path, error)
            return HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL", "an error in the collector").response()
