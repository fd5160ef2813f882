"""One HTTP exchange with a peer, bounded in size and in time, and decided by nothing but what was asked for.

`requests` looks around by itself: `~/.netrc` replaces the token, `$REQUESTS_CA_BUNDLE` replaces `--ca-cert`,
`$http_proxy` sends what is meant for loopback to somebody else, and an answer is read for as long and as far as the
peer likes. Here a session trusts the environment with nothing (`trust_env`); whoever makes it hands over proxies and
certificates. An answer is read as it is (no encoding is asked for, so a small one cannot unpack into a large one) up to
`Bounds.size` bytes, and the whole exchange, from the connection to the last byte of the answer, ends after
`Bounds.total_s` seconds (a look-up of a name that takes longer ends it too, but in the resolver's own time).

A timeout of a socket bounds the wait for the next byte, so a peer that sends a byte each five seconds is never late by
it. Hence the alarm: a thread that shuts the connection down when the time is over, whatever is waited for just then
(a handshake, a status line, a header, a chunk). It needs a hold on the connection that TLS does not take away: a
duplicate of its descriptor, taken when it is made.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from netstat_cli import __version__
from netstat_cli.errors import DeliveryError, UsageProblem

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0
TOTAL_TIMEOUT = 90.0  # a collector waits 60 s for a body, and 30 s are enough for the disk
MAX_ANSWER = 1 << 20  # a receipt with 500 rejected lines is some 100 kB
CHUNK = 1 << 16


class Bounds(NamedTuple):
    """How far a peer is trusted with memory (bytes of an answer) and time (seconds)."""

    size: int = MAX_ANSWER
    total_s: float = TOTAL_TIMEOUT
    connect_s: float = CONNECT_TIMEOUT
    read_s: float = READ_TIMEOUT


DELIVERY = Bounds()
READING = Bounds(size=64 << 20)  # 10,000 nodes with ten interfaces each are some 30 MB


class PeerUnavailable(DeliveryError):
    """The peer cannot take the lines now but may later; `retry_after` are the seconds that it asked for."""

    def __init__(self, message: str, *, retry_after: float | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class PeerRefused(DeliveryError):
    """The peer will not take the lines however often they are sent, until somebody mends something."""

    is_about_the_lines = False
    """Whether it is the lines that are wrong, not the sender's address, token or peer."""


class Answer(NamedTuple):
    """What a peer answered, read to its end."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Parse the body. Raises ValueError and RecursionError."""
        return json.loads(self.body)


def peer_url(peer: str) -> str:
    """Return the address of a collector: `web1:8477` means `http://web1:8477`. Raises UsageProblem, which never repeats
    an address that may hold a password."""
    url = peer if "://" in peer else f"http://{peer}"
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if "@" in (parts.netloc if valid else peer):
        hint = "put the collector's token into a file and name that: --token-file FILE"
        raise UsageProblem("the address of a collector bears no user and no password", hint=hint)
    if not valid:
        raise UsageProblem(f"{peer!r} is not the address of a collector", hint="write for example http://web1:8477")
    return urlunsplit(parts._replace(fragment=""))


def url_below(peer: str, path: str) -> str:
    """Return the address of a route of a peer. A query of the peer's own address stays behind the path, as a gateway in
    front of it may want it. Raises UsageProblem."""
    parts = urlsplit(peer_url(peer))
    base = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=base if base.endswith(path) else base + path))


def shown(url: str) -> str:
    """Return an address as it is told: without its query, which may hold a key."""
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


def is_direct(url: str) -> bool:
    """Tell whether a peer is asked without a proxy: one on this machine's loopback, or on a link that only this machine
    can name, which nobody else can reach on its behalf."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    if "%" in host:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))  # 127.1, 0x7f000001
        except (OSError, ValueError):
            return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def new_session(proxies: Mapping[str, str] | None = None) -> requests.Session:
    """Make a session that takes nothing from the environment. `proxies`: scheme -> address of a proxy."""
    session = requests.Session()
    session.trust_env = False
    session.proxies.update(proxies or {})
    adapter = _Adapter()
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.headers.update(
        {"User-Agent": f"netcli/{__version__}", "Accept": "application/json", "Accept-Encoding": "identity"}
    )
    return session


def ask(session: requests.Session, method: str, url: str, bounds: Bounds, **request: Any) -> Answer:
    """Send one request and read the whole answer; a redirect is an answer. `request`: as for requests.request.
    Raises PeerUnavailable for what may pass and PeerRefused for what somebody has to mend."""
    told = shown(url)
    with _alarm(session, url, bounds.total_s) as alarm:
        try:
            answer = _ask(session, method, url, bounds, request)
            if alarm.is_set():  # a connection that is shut down may look like the end of the answer
                raise TimeoutError
            return answer
        except _TooLarge:
            raise PeerUnavailable(
                f"{told} answered more than {bounds.size} bytes", hint="is that address a netcli collector?"
            ) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError, ValueError) as error:
            if alarm.is_set() or _is_timeout(error):
                raise PeerUnavailable(f"{told} did not answer in time") from error
            cause = innermost(error)
            if isinstance(cause, ssl.SSLError) and not isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
                raise PeerRefused(f"{told}: no secure connection: {reason(error)}") from error
            if isinstance(error, ValueError):  # InvalidURL, and what the libraries below let through
                raise PeerRefused(f"{told} is not an address that can be reached: {error}") from error
            message = f"cannot reach {told}{_by_proxy(session, url)}: {reason(error)}"
            raise PeerUnavailable(message, hint="is `netcli serve` running there?") from error


def reason(error: Exception) -> str:
    """Return the innermost cause in words, without the layers that the libraries wrap around it."""
    cause = innermost(error)
    return getattr(cause, "strerror", None) or str(cause)


def innermost(error: BaseException) -> BaseException:
    """Return the error that all others were raised for."""
    seen = {id(error)}
    while (inner := _wrapped(error) or error.__cause__ or error.__context__) is not None and id(inner) not in seen:
        seen.add(id(inner))
        error = inner
    return error


def _wrapped(error: BaseException) -> BaseException | None:
    """urllib3 and requests keep the cause in `reason` (of MaxRetryError) or among the arguments (ProtocolError)."""
    inner = getattr(error, "reason", None)
    if isinstance(inner, BaseException):
        return inner
    return next((one for one in reversed(error.args) if isinstance(one, BaseException)), None)


def _is_timeout(error: BaseException) -> bool:
    return isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)) or isinstance(
        innermost(error), TimeoutError
    )


class _TooLarge(Exception):
    """The answer is longer than it may be."""


def _ask(session: requests.Session, method: str, url: str, bounds: Bounds, request: dict[str, Any]) -> Answer:
    plain, zone = _without_zone(url)
    adapter = session.get_adapter(url)
    if isinstance(adapter, _Adapter):
        adapter.taps.zone = zone
    response = session.request(
        method, plain, timeout=(bounds.connect_s, bounds.read_s), allow_redirects=False, stream=True, **request
    )
    try:
        body = _read(response, bounds.size)
    except BaseException:
        response.close()
        raise
    return Answer(response.status_code, response.reason or "", response.headers, body)


def _without_zone(url: str) -> tuple[str, str]:
    """Take the zone out of a link-local address, `[fe80::1%eth0]` or `[fe80::1%25eth0]` (RFC 6874). It is for the
    resolver: the peer's Host header has none, and the libraries in between garble one that looks like an escape."""
    parts = urlsplit(url)
    address, percent, zone = parts.netloc.partition("%")
    zone, bracket, port = zone.partition("]")
    if not (percent and bracket):
        return url, ""
    return urlunsplit(parts._replace(netloc=f"{address}]{port}")), percent + (zone.removeprefix("25") or zone)


def _read(response: requests.Response, most: int) -> bytes:
    """Read the body as it was sent. Not by urllib3's own reader of chunks, which takes the line that tells a chunk's
    size however long it is: http.client's, which `read` uses, gives up after 64 KiB."""
    body = bytearray()
    while text := response.raw.read(min(CHUNK, most + 1 - len(body)), decode_content=False):
        body += text
        if len(body) > most:
            raise _TooLarge
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and len(body) < int(length) and response.request.method != "HEAD":
        raise ConnectionResetError(None, "the answer broke off")
    return bytes(body)


@contextmanager
def _alarm(session: requests.Session, url: str, seconds: float) -> Iterator[threading.Event]:
    """Shut its connections down after so many seconds. The event is set when they are, by this or by `cut`."""
    adapter = session.get_adapter(url)
    taps = adapter.taps if isinstance(adapter, _Adapter) else _Taps()
    taps.is_cut.clear()
    timer = threading.Timer(seconds, taps.cut)
    timer.daemon = True
    timer.start()
    try:
        yield taps.is_cut
    finally:
        timer.cancel()


def cut(session: requests.Session) -> None:
    """Break off whatever the session is waiting for; any thread may."""
    for adapter in session.adapters.values():
        if isinstance(adapter, _Adapter):
            adapter.taps.cut()


class _Taps:
    """A hold on every open connection of a session."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.is_cut = threading.Event()
        self.zone = ""
        """`%eth0`, where the peer's address is a link-local one."""

    def add(self, connection: socket.socket) -> socket.socket:
        """Return a duplicate that shares the connection, to be given to `remove`. Raises OSError."""
        tap = connection.dup()
        with self._lock:
            self._open.add(tap)
            if self.is_cut.is_set():  # while its name was looked up
                tap.shutdown(socket.SHUT_RDWR)
        return tap

    def remove(self, tap: socket.socket) -> None:
        """Let go of a connection that is closed."""
        with self._lock:
            self._open.discard(tap)
            tap.close()

    def cut(self) -> None:
        """End what is read or written on any of them."""
        with self._lock:
            self.is_cut.set()
            for tap in self._open:
                with suppress(OSError):
                    tap.shutdown(socket.SHUT_RDWR)


class _Tapped:
    """A connection of urllib3 that can be shut down from outside, from before its handshake on."""

    taps: _Taps
    _tap: socket.socket | None = None

    _dns_host: str

    def _new_conn(self) -> socket.socket:
        if self.taps.zone:
            self._dns_host = self._dns_host.strip("[]").partition("%")[0] + self.taps.zone
        made: socket.socket = super()._new_conn()  # type: ignore[misc]
        self._tap = self.taps.add(made)
        return made

    def close(self) -> None:
        """Close the connection."""
        super().close()  # type: ignore[misc]
        tap, self._tap = self._tap, None
        if tap is not None:
            self.taps.remove(tap)


class _Adapter(HTTPAdapter):
    """Makes connections that can be cut."""

    def __init__(self) -> None:
        self.taps = _Taps()
        self._pools = _pools(self.taps)
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Make the pool of direct connections."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Make the pool of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(its: _Taps) -> dict[str, Any]:
    class Plain(_Tapped, HTTPConnection):
        taps = its

    class Secure(_Tapped, HTTPSConnection):
        taps = its

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _by_proxy(session: requests.Session, url: str) -> str:
    """Words that name the proxy in between, if there is one, without the password that it may want."""
    proxy = session.proxies.get(urlsplit(url).scheme) or session.proxies.get("all")
    if proxy is None:
        return ""
    host = urlsplit(proxy if "://" in proxy else f"//{proxy}").netloc.rpartition("@")[2]
    return f" through the proxy {host}"
