"""One exchange with a peer: bounded in size and time, and decided by nothing but what was asked for."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from netstat_cli.errors import UsageProblem
from netstat_cli.transport.client import Client, Receipt
from netstat_cli.transport.exchange import (
    Bounds,
    PeerRefused,
    PeerUnavailable,
    ask,
    is_direct,
    new_session,
    peer_url,
    url_below,
)
from tests.transport.test_client import LINES, Peer, Reply, taken

PATIENCE = 20
OK = b"HTTP/1.1 200 OK\r\n"
TLS_HANDSHAKE = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc"  # a record that announces 16 KiB of ServerHello


class RawPeer:
    """A peer on a free loopback port that answers each connection with whatever bytes it is told to, until the other
    side has enough."""

    def __init__(self, begin: bytes, more: bytes, each_s: float = 0.0) -> None:
        """`begin` is sent at once, then `more` for ever, with a pause before each time."""
        self.sent = 0
        self.gone = threading.Event()
        self._begin, self._more, self._each_s = begin, more, each_s
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    connection.recv(1 << 16)
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError):
            connection.sendall(self._begin)
            while not self._ended.wait(self._each_s):
                connection.sendall(self._more)
                self.sent += len(self._more)
        self.gone.set()


ENDLESS = {
    "body": (OK + b"\r\n", b"x" * 65536),
    "length": (OK + b"Content-Length: 99999999999\r\n\r\n", b"x" * 65536),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
    "chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n", b"x" * 65536),
    "chunk size": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1" * 65536),
    "header": (OK + b"X: ", b"x" * 65536),
    "headers": (OK, b"X: x\r\n" * 1000),
    "status": (b"HTTP/1.1 200 ", b"x" * 65536),
    "error": (b"HTTP/1.1 500 Oh\r\n\r\n", b"x" * 65536),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_answer_without_end_is_given_up_after_its_bound(kind: str) -> None:
    """Wherever it goes on for ever, only a bounded part is read, the peer counts as not available, which is tried
    again, and the connection is closed."""
    with RawPeer(*ENDLESS[kind]) as peer:
        with pytest.raises(PeerUnavailable):
            Client(peer.url).post(LINES)
        assert peer.gone.wait(PATIENCE)
        assert peer.sent < 32 << 20, "what fits into the buffers of two sockets, and no more"


DRIBBLING = {
    "status": (b"", b"H"),
    "header": (OK, b"X"),
    "headers": (OK, b"X: x\r\n"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (OK + b"Content-Length: 99999\r\n\r\n", b"x"),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "chunk size": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "trailer": (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: x\r\n"),
}


@pytest.mark.parametrize("kind", DRIBBLING)
def test_an_answer_byte_by_byte_is_given_up_after_a_total_time(kind: str) -> None:
    """A peer that is never late by its next byte is given up all the same, whatever it dribbles."""
    with RawPeer(*DRIBBLING[kind], each_s=0.02) as peer:
        before = time.monotonic()
        with pytest.raises(PeerUnavailable, match=r"^http://127.0.0.1:\d+/api/v1/samples did not answer in time$"):
            Client(peer.url, bounds=Bounds(total_s=0.4)).post(LINES)
        assert 0.4 <= time.monotonic() - before < 5
        assert peer.gone.wait(PATIENCE)


def test_a_handshake_byte_by_byte_is_given_up_after_a_total_time() -> None:
    """TLS is no way around the total time."""
    with RawPeer(TLS_HANDSHAKE, b"x", each_s=0.02) as peer:
        before = time.monotonic()
        with pytest.raises(PeerUnavailable, match="did not answer in time$"):
            Client(peer.url.replace("http:", "https:"), bounds=Bounds(total_s=0.4)).post(LINES)
        assert 0.4 <= time.monotonic() - before < 5


def test_a_session_is_of_use_after_its_time_was_up() -> None:
    """The next exchange of the same client has a total time of its own, and a connection of its own."""
    release = threading.Event()

    def judge(lines: list[bytes]) -> Reply:
        release.wait(PATIENCE)
        return taken(lines)

    with Peer(judge=judge) as peer:
        client = Client(peer.url, bounds=Bounds(total_s=0.4))
        with pytest.raises(PeerUnavailable, match="did not answer in time$"):
            client.post(LINES)
        release.set()
        assert [Receipt(4, 0, [])] * 2 == [client.post(LINES), client.post(LINES)]


def test_whoever_has_enough_can_break_off() -> None:
    """Another thread ends the wait for an answer, which counts as a peer that is not available."""
    asked, release = threading.Event(), threading.Event()

    def judge(lines: list[bytes]) -> Reply:
        asked.set()
        release.wait(PATIENCE)
        return taken(lines)

    def break_off(client: Client) -> None:
        asked.wait(PATIENCE)
        client.cut()

    with Peer(judge=judge) as peer:
        client = Client(peer.url)
        threading.Thread(target=break_off, args=(client,), daemon=True).start()
        with pytest.raises(PeerUnavailable):
            client.post(LINES)
        release.set()


def test_a_small_answer_cannot_unpack_into_a_large_one() -> None:
    """No encoding is asked for, and one that comes all the same is not unpacked."""
    with Peer(Reply(200, b"\x1f\x8b", (("Content-Encoding", "gzip"),))) as peer:
        answer = ask(new_session(), "POST", peer.url, Bounds(), data=b"")
    assert (b"\x1f\x8b", "identity") == (answer.body, peer.received[0].headers["Accept-Encoding"])


@pytest.mark.parametrize("length", [b"9", b"300000"])
def test_an_answer_that_breaks_off_is_no_answer(length: bytes) -> None:
    """Fewer bytes than were announced are a broken connection, not garbage of a peer that is no collector."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def talk() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(OK + b"Content-Length: " + length + b"\r\n\r\n{}")

        threading.Thread(target=talk, daemon=True).start()
        with pytest.raises(PeerUnavailable, match="^cannot reach http"):
            Client(f"127.0.0.1:{server.getsockname()[1]}").post(LINES)


@pytest.mark.parametrize(
    "peer",
    [
        "http://eve:secret@web1:8477",
        "https://eve@web1",
        "eve:secret@web1:8477",
        "http://eve:secret@web1:port",
        "http://eve:se/cret@web1",
        "http://eve:secret@[",
        "ftp://eve:secret@web1",
        "eve:secret@",
    ],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(peer: str) -> None:
    """Whether or not the rest is an address, the message says where the token belongs, and nothing of the address."""
    with pytest.raises(UsageProblem) as caught:
        peer_url(peer)
    assert (
        "the address of a collector bears no user and no password",
        "put the collector's token into a file and name that: --token-file FILE",
    ) == (caught.value.message, caught.value.hint)


@pytest.mark.parametrize(
    ("peer", "url"),
    [
        ("http://web1/?key=1", "http://web1/api?key=1"),
        ("http://web1?key=1", "http://web1/api?key=1"),
        ("http://web1/behind/?key=a/b", "http://web1/behind/api?key=a/b"),
        ("http://web1/api?key=1", "http://web1/api?key=1"),
        ("http://web1/#part", "http://web1/api"),
        ("http://web1/@home", "http://web1/@home/api"),
        ("http://[fe80::1%eth0]:8477", "http://[fe80::1%eth0]:8477/api"),
        ("[fe80::1%25eth0]", "http://[fe80::1%25eth0]/api"),
    ],
)
def test_the_address_of_a_route(peer: str, url: str) -> None:
    """The route comes behind the path and before the query, as curl would have it; a fragment stays here."""
    assert url == url_below(peer, "/api")


def test_a_query_is_sent_and_not_told() -> None:
    """What a gateway wants in the query goes out with each request; messages leave it out, because it may be a key."""
    with Peer(Reply(500)) as peer:
        client = Client(f"{peer.url}/?key=secret")
        with pytest.raises(PeerUnavailable) as caught:
            client.post(LINES)
        assert "/api/v1/samples?key=secret" == peer.received[0].path
    assert f"{peer.url}/api/v1/samples answered 500: Internal Server Error" == caught.value.message
    assert f"{peer.url}/api/v1/samples" == client.url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8477", True),
        ("http://127.9.9.9", True),
        ("http://127.1", True),
        ("http://[::1]:8477", True),
        ("http://[::ffff:127.0.0.1]", True),
        ("http://0.0.0.0:8477", True),
        ("http://LOCALHOST:8477", True),
        ("http://web1.localhost.", True),
        ("http://10.0.0.1", False),
        ("http://localhost.example.com", False),
        ("http://[fe80::1%eth0]", True),
        ("http://[fe80::1]", False),
        ("http://128.0.0.1", False),
    ],
)
def test_who_is_asked_without_a_proxy(url: str, expected: bool) -> None:
    """Every way to write an address that means something to this machine alone, and no other."""
    assert expected == is_direct(url)


@pytest.fixture
def tls_peer(certificates: Path) -> Iterator[str]:
    """The address of a peer that speaks TLS with server.pem."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    with Peer(tls=context) as peer:
        yield peer.url


def trusting(path: Path) -> Callable[[str], Receipt]:
    """Sends lines to an address, with a file that says whom to trust."""

    def send(url: str) -> Receipt:
        session = new_session()
        session.verify = str(path)
        return Client(url, session).post(LINES)

    return send


def test_a_certificate_that_is_not_trusted_is_refused_at_once(certificates: Path, tls_peer: str) -> None:
    """No retry mends it."""
    assert Receipt(4, 0, []) == trusting(certificates / "server.pem")(tls_peer)
    with pytest.raises(PeerRefused, match="/api/v1/samples: no secure connection: .*certificate verify failed"):
        trusting(certificates / "other.pem")(tls_peer)


def test_a_peer_that_does_not_speak_tls_is_refused_at_once() -> None:
    """An answer that is no TLS comes from the wrong port, or means the wrong scheme."""
    with RawPeer(b"HTTP/1.1 400 Bad Request\r\n\r\n", b"") as peer, pytest.raises(PeerRefused, match="no secure"):
        Client(peer.url.replace("http:", "https:")).post(LINES)


@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
def test_a_handshake_that_breaks_off_may_pass(reset: bool) -> None:
    """A peer that restarts, or a gateway without one behind it, closes the connection in the middle of it: tried again,
    as over HTTP."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            with connection:
                if reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                else:
                    connection.recv(1 << 16)

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(PeerUnavailable, match=r"^cannot reach https://127\.0\.0\.1:\d+/api/v1/samples: ."):
            Client(f"https://127.0.0.1:{server.getsockname()[1]}").post(LINES)
