"""The answer to every request, whatever happens while it is made."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TypeVar

from netstat_cli.collector.http import HttpError, Later, Request, Response, invalid
from netstat_cli.collector.incoming import unpacked
from netstat_cli.collector.routes import Collector, is_quick, route
from netstat_cli.errors import InvalidSample, NetcliError, StoreFull
from netstat_cli.store.writer import Warn

TELL_SECONDS = 30.0
RETRY_AFTER = (("Retry-After", "5"),)
T = TypeVar("T")


class Answers:
    """Makes answers, tells the operator of troubles, and knows how many are being made."""

    def __init__(self, collector: Collector, warn: Warn) -> None:
        self.collector = collector
        self.warn = warn
        self._trouble, self._tell_again = "", 0.0
        self._busy = 0
        self._idle = threading.Condition()

    def begin(self, request: Request) -> Response | Later | None:
        """The answer, or what waits for the store and has it then; None if that would take long."""
        return self._attempt(request, lambda: route(self.collector, request)) if is_quick(request) else None

    def end(self, request: Request, part: Response | Later) -> Response:
        """The answer that was begun."""
        return self._attempt(request, part) if callable(part) else part

    def whole(self, request: Request) -> tuple[Response, bool]:
        """The answer, however long it takes, and whether the connection has to end with it."""
        try:
            request = unpacked(request)
        except HttpError as error:
            return error.response(), True
        return self.end(request, self._attempt(request, lambda: route(self.collector, request))), request.closes

    def _attempt(self, request: Request, task: Callable[[], T]) -> T | Response:
        """What the task comes to, or the answer that says what went wrong."""
        try:
            return task()
        except HttpError as error:
            return error.response()
        except InvalidSample as error:
            return invalid(error)
        except StoreFull as error:
            self.tell_once(error.message)
            return HttpError(HTTPStatus.INSUFFICIENT_STORAGE, "STORE_FULL", error.message, RETRY_AFTER).response()
        except NetcliError as error:
            self.tell_once(error.message)
            return HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE", error.message, RETRY_AFTER).response()
        except Exception as error:  # noqa: BLE001  the client must get an answer and the operator a word
            self.warn(f"{request.method} {request.path!r} failed: {error!r}")
            return HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL", "an error in the collector").response()

    def tell_once(self, trouble: str) -> None:
        """The operator hears of a trouble when it begins, and then every half minute while it lasts."""
        now = time.monotonic()
        if trouble != self._trouble or now >= self._tell_again:
            self._trouble, self._tell_again = trouble, now + TELL_SECONDS
            self.warn(trouble)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """While a request is answered."""
        with self._idle:
            self._busy += 1
        try:
            yield
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def wait_until_idle(self, seconds: float) -> None:
        """Returns when no answer is being made, or after so long."""
        with self._idle:
            self._idle.wait_for(lambda: self._busy == 0, seconds)
