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


class Request(NamedTuple):
    """One request with its body."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    closes: bool = False
    """Whether the connection is to end with the answer."""


class Response(NamedTuple):
    """One answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


Later = Callable[[], Response]
"""What waits for the store and then has the answer."""


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


def encoded(response: Response, close: bool, with_body: bool = True) -> bytes:
    """An answer as it goes over the wire."""
    status = HTTPStatus(response.status)
    head = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Server: netcli/{__version__}",
        f"Date: {_http_date(int(time.time()))}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        "X-Content-Type-Options: nosniff",
        *[f"{name}: {value}" for name, value in response.headers],
        *(["Connection: close"] if close else []),
    ]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + (response.body if with_body else b"")


@lru_cache(maxsize=1)
def _http_date(second: int) -> str:
    """The Date header of all answers in the same second."""
    return formatdate(second, usegmt=True)


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
