"""Who may talk to the collector: whoever bears a token; without tokens whoever is on this machine, but no web page."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import os
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from netstat_cli.collector.http import HttpError
from netstat_cli.errors import NetcliError

LOG = logging.getLogger(__name__)
OPEN_PATHS = frozenset({"/healthz"})
_BEARER = "bearer "


class Access:
    """Decide about each request. Called by the loop, for every request."""

    def __init__(self, tokens: Tokens | None, only_local: bool) -> None:
        """`only_local`: the collector listens on loopback, so that a public name in Host is a trick."""
        self._tokens = tokens
        self._only_local = only_local

    def check(self, path: str, headers: Mapping[str, str]) -> None:
        """Raises HttpError for who may not."""
        if self._tokens is not None:
            if path not in OPEN_PATHS and not self._tokens.accept(_offered(headers)):
                challenge = (("WWW-Authenticate", "Bearer"),)
                raise HttpError(HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED", "a token is missing or wrong", challenge)
            return
        host = headers.get("host", "")
        if self._only_local and not _is_local_name(host):
            message = f"the host {host[:100]!r} is not this machine; ask 127.0.0.1 or localhost"
            raise HttpError(HTTPStatus.FORBIDDEN, "FORBIDDEN_HOST", message)
        if not _is_same_origin(headers.get("origin"), host):
            raise HttpError(HTTPStatus.FORBIDDEN, "FORBIDDEN_ORIGIN", "web pages of others are not answered")


class Tokens:
    """The tokens in a file, read again when it changes. May be called from any thread."""

    def __init__(self, path: str, read: Callable[[str], list[str]]) -> None:
        """Raises NetcliError if there is no token to begin with."""
        self._path = path
        self._read = read
        self._lock = threading.Lock()
        self._tokens = [token.encode() for token in read(path)]
        self._stamp = self._look()

    def accept(self, offered: list[bytes]) -> bool:
        """True if one of the offered is a token; takes as long for a wrong one as for a right one."""
        with self._lock:
            self._refresh()
            tokens = self._tokens
        return sum(hmac.compare_digest(one, token) for one in offered for token in tokens) > 0

    def _refresh(self) -> None:
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._tokens = [token.encode() for token in self._read(self._path)]
        except NetcliError as error:
            LOG.warning("%s; the tokens read before still count", error.message)

    def _look(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def is_loopback(host: str) -> bool:
    """True if only this machine can connect to the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_local_name(host: str) -> bool:
    """True if a Host header may reach a collector on loopback: an address, or a name without a dot. A web page that has
    its own name point here (DNS rebinding) needs a name in public DNS, which has one."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    if name is None or "." not in name or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_same_origin(origin: str | None, host: str) -> bool:
    """True if a request comes from no web page, or from one of this very address."""
    try:
        return origin is None or urlsplit(origin).netloc == host
    except ValueError:
        return False


def _offered(headers: Mapping[str, str]) -> list[bytes]:
    """Find the tokens in a request: Authorization: Bearer, X-API-Key or X-Agent-Token."""
    authorization = headers.get("authorization", "")
    bearer = authorization[len(_BEARER) :].strip() if authorization.lower().startswith(_BEARER) else None
    found = (bearer, headers.get("x-api-key"), headers.get("x-agent-token"))
    return [token.encode("latin-1") for token in found if token]
