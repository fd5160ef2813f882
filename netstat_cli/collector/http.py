"""HTTP as values: what came in, what goes out, and the errors in between. No sockets here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

from netstat_cli.errors import InvalidSample

JSON = "application/json"


class Request(NamedTuple):
    """One request, its body read and unpacked."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class Response(NamedTuple):
    """One answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


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


def answer(value: object) -> Response:
    """200 with a JSON body."""
    return Response(HTTPStatus.OK, to_json(value))


def invalid(error: InvalidSample) -> Response:
    """422 with every field that is wrong."""
    detail = [{"loc": ["body", *problem.loc], "msg": problem.msg, "type": problem.type} for problem in error.problems]
    return Response(HTTPStatus.UNPROCESSABLE_ENTITY, to_json({"detail": detail}))


def to_json(value: object) -> bytes:
    """Compact JSON in ASCII: half a surrogate pair, quoted back from a request, is no trouble then."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
