"""HTTP as values: what came in, what goes out, and the errors in between. No sockets here."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from netstat_cli import __version__
from netstat_cli.errors import InvalidSample

JSON = "application/json"
RETRY_AFTER = (("Retry-After", "5"),)


class Request(NamedTuple):
    """One request with its body."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    connection: str = ""
    """What the answer says of the connection: `close`, `keep-alive` (to HTTP/1.0), or nothing, which keeps it too."""


class Response(NamedTuple):
    """One answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    closes: bool = False
    """True if the connection has to end with the answer, whatever the client wants."""


PendingResponse = Callable[[], Response]
"""Waits until the store has written, and returns the answer."""


class HttpError(Exception):
    """A request that is answered with an error: a status, a code for programs and a sentence for people."""

    def __init__(self, status: HTTPStatus, code: str, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers

    def response(self) -> Response:
        """The answer that says so."""
        body = {"detail": {"code": self.code, "message": self.message}}
        return Response(self.status, to_json(body), headers=self.headers)


def too_slow() -> HttpError:
    """The answer to a request that trickles in."""
    return HttpError(HTTPStatus.REQUEST_TIMEOUT, "TIMEOUT", "the request came too slowly")


def saturated(message: str) -> HttpError:
    """The answer to a request for which there is no room now."""
    return HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "SATURATED", message, RETRY_AFTER)


def encode_response(response: Response, connection: str = "", with_body: bool = True) -> bytes:
    """Encode an answer as it goes over the wire. `connection`: as in Request."""
    begin = _begin_of_head(response.status, response.content_type, int(time.time()))
    more = "".join([f"{name}: {value}\r\n" for name, value in response.headers])
    if connection:
        more += f"Connection: {connection}\r\n"
    head = f"{begin}{len(response.body)}\r\nX-Content-Type-Options: nosniff\r\n{more}\r\n"
    return head.encode("latin-1") + (response.body if with_body else b"")


@lru_cache(maxsize=16)
def _begin_of_head(status: int, content_type: str, second: int) -> str:
    """What all answers of a kind in the same second begin with, up to their length."""
    return (
        f"HTTP/1.1 {status:d} {HTTPStatus(status).phrase}\r\n"
        f"Server: netcli/{__version__}\r\n"
        f"Date: {formatdate(second, usegmt=True)}\r\n"
        f"Content-Type: {content_type}\r\n"
        "Content-Length: "
    )


def answer(value: object) -> Response:
    """200 with a JSON body."""
    return Response(HTTPStatus.OK, to_json(value))


def answer_list(values: Iterable[object]) -> Response:
    """200 with a JSON list, made from one value at a time: ten thousand of them are not in memory together."""
    return Response(HTTPStatus.OK, b"[" + b",".join(map(to_json, values)) + b"]")


def invalid(error: InvalidSample) -> Response:
    """422 with every field that is wrong."""
    detail = [{"loc": ["body", *problem.loc], "msg": problem.msg, "type": problem.type} for problem in error.problems]
    return Response(HTTPStatus.UNPROCESSABLE_ENTITY, to_json({"detail": detail}))


def to_json(value: object) -> bytes:
    """Compact JSON in ASCII: half a surrogate pair, quoted back from a request, is no trouble then."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
