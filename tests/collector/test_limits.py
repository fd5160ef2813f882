"""How much one client may ask for: every limit has an answer that says which it is, and harms nobody else."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from netstat_cli.collector import channels, loop
from netstat_cli.collector.acceptor import Limits
from netstat_cli.collector.answers import Lane
from netstat_cli.collector.http import Response, answer
from netstat_cli.collector.live import Live, Thresholds
from netstat_cli.collector.parser import MAX_BODY
from netstat_cli.collector.routes import MOST_SERVERS, Collector
from netstat_cli.collector.server import Address, Server, serve_in_thread
from netstat_cli.line.wire import MAX_INTERFACES, encode
from netstat_cli.store.writer import Writer
from netstat_cli.times import now
from tests.cli.conftest import Run, Serving, env, run, serve  # noqa: F401  the real program
from tests.collector.conftest import Listening, Running
from tests.given import interface, line_of, sample

LINE = encode(sample(0, interface(rx=1000)))
ALIVE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /api/v1/samples HTTP/1.1\r\nHost: x\r\n"
SHORT = Limits(max_connections=4, idle_timeout_s=0.4, header_timeout_s=0.4, body_timeout_s=0.6)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Where the real program keeps its store."""
    return tmp_path / "state" / "netcli"


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Short]:
    """A collector that is short of everything, in the clear."""
    with Short(tmp_path / "store") as short:
        yield short


@pytest.fixture(params=["plain", "tls"])
def either(request: pytest.FixtureRequest, tmp_path: Path, certificates: Path) -> Iterator[Short]:
    """A collector that is short of everything, once in the clear and once with TLS."""
    with Short(tmp_path / "store", certificates if request.param == "tls" else None) as short:
        yield short


class Short:
    """A collector that is short of everything, and connections to it."""

    def __init__(self, data: Path, certificates: Path | None = None) -> None:
        self.warnings: list[str] = []
        self._log = Listening(self.warnings)
        self._writer = Writer(str(data), "the tests", self.warnings.append)
        self.server_tls = self.client_tls = None
        if certificates is not None:
            self.server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.server_tls.load_cert_chain(certificates / "server.pem", certificates / "server.key")
            self.client_tls = ssl.create_default_context(cafile=str(certificates / "server.pem"))
        collector = Collector(str(data), self._writer, Live(self._writer.latest, now()), Thresholds())
        self.server = Server(Address("127.0.0.1", 0), collector, tls=self.server_tls, limits=SHORT)

    def __enter__(self) -> Short:
        self._finish = serve_in_thread(self.server)
        assert self.is_alive()
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()
        self._writer.close()
        self._log.close()
        assert [] == self.warnings

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        """A connection, with a small buffer for what is received if so wished."""
        connection = socket.socket()
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", self.server.server_port))
        if self.client_tls is None:
            return connection
        return self.client_tls.wrap_socket(connection, server_hostname="127.0.0.1", suppress_ragged_eofs=False)

    def is_alive(self) -> bool:
        """Whether somebody else is served."""
        with self.connect() as connection:
            return is_alive(connection)


def is_alive(connection: socket.socket) -> bool:
    """Whether a question on that connection is answered."""
    try:
        connection.sendall(ALIVE)
        return connection.recv(1 << 16).startswith(b"HTTP/1.1 200 OK\r\n")
    except ConnectionError:
        return False


def is_ended(connection: socket.socket) -> bool:
    """Whether the collector ends that connection, without a word."""
    try:
        return connection.recv(1 << 16) == b""
    except ConnectionError:
        return True


def trickled(server: Short, begin: bytes, drop: bytes) -> tuple[bytes, float]:
    """What comes back while bytes are sent one by one for ever, and after how many seconds."""
    begun = time.monotonic()
    with server.connect() as connection:
        connection.sendall(begin)
        connection.settimeout(0.05)
        answer = b""
        while time.monotonic() - begun < 10:
            try:
                connection.sendall(drop)
                if not (chunk := connection.recv(1 << 16)):
                    break
                answer += chunk
            except TimeoutError:
                continue
            except (ConnectionError, ssl.SSLEOFError):
                break
        return answer, time.monotonic() - begun


@pytest.mark.parametrize(
    ("begin", "drop"),
    [
        (b"G", b"E"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"A"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"A: b\r\n"),
        (POST + b"Content-Length: 100000\r\n\r\n", b"x"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["line", "header", "headers", "body", "chunks"],
)
def test_a_request_that_trickles_in(either: Short, begin: bytes, drop: bytes) -> None:
    """Slowloris: however steadily the bytes come, headers and body have a time, after which the answer is 408."""
    answer, seconds = trickled(either, begin, drop)
    assert seconds < 5
    assert b"HTTP/1.1 408 " == answer[:13]


@pytest.mark.parametrize("request_text", [ALIVE, POST + b"Content-Length: %d\r\n\r\n" % len(LINE) + LINE])
def test_a_connection_without_requests_is_closed(either: Short, request_text: bytes) -> None:
    """Between requests a client may be silent for so long; then the connection is closed without a word."""
    with either.connect() as connection:
        connection.sendall(request_text)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"" == connection.recv(1 << 16)


def test_the_longest_idle_connection_goes_first(either: Short) -> None:
    """One connection more than may be takes the place of the one that asked least recently; the others stay."""
    with ExitStack() as stack:
        connections = [stack.enter_context(either.connect()) for _ in range(SHORT.max_connections)]
        assert all(is_alive(connection) for connection in connections)
        assert is_alive(connections[0])
        assert either.is_alive()
        assert [True] == [is_ended(connection) for connection in connections[1:2]]
        assert [True, True, True] == [is_alive(connection) for connection in (connections[0], *connections[2:])]


def test_agents_more_than_connections_all_get_through(either: Short) -> None:
    """Nobody starves: of more agents than connections, each is answered when it comes again."""
    with ExitStack() as stack:
        agents = [stack.enter_context(either.connect()) for _ in range(3 * SHORT.max_connections)]
        for number in range(len(agents)):
            if not is_alive(agents[number]):
                agents[number] = stack.enter_context(either.connect())
                assert is_alive(agents[number])


def begun(server: Short, count: int, text: bytes) -> list[socket.socket]:
    """So many connections that have begun to say something."""
    connections = [server.connect() for _ in range(count)]
    for connection in connections:
        connection.sendall(text)
    return connections


def test_who_has_only_begun_to_ask_goes_next(strict: Short) -> None:
    """Connections with half a head go for another one, the oldest first: nobody knows yet if they may ask anything."""
    connections = begun(strict, SHORT.max_connections, b"GET / HTTP/1.1\r\n")
    until(lambda: len(strict.server._loop._channels.starting) == len(connections))
    assert strict.is_alive()
    assert is_ended(connections[0])
    for connection in connections:
        connection.close()


def test_who_is_being_served_does_not_go(strict: Short) -> None:
    """Where all connections send bodies, one more gets 503 with a time to come back; when one ends there is room."""
    connections = begun(strict, SHORT.max_connections, POST + b"Content-Length: 9\r\n\r\n")
    threads = threading.active_count()
    until(lambda: len(strict.server._loop._channels.idle) == 0)
    with strict.connect() as refused:
        refused.sendall(ALIVE)
        answer = refused.recv(1 << 16)
        assert is_ended(refused)
    assert (b"HTTP/1.1 503 ", True) == (answer[:13], b"\r\nRetry-After: 5\r\n" in answer)
    assert b'{"code":"SATURATED","message":"too many connections"}' in answer
    assert threads >= threading.active_count()
    for connection in connections:
        connection.close()
    until(strict.is_alive)


def until(condition: Callable[[], bool]) -> None:
    """Returns when something is so; fails if it does not come to be."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_slow_handshake(tmp_path: Path, certificates: Path) -> None:
    """Half a ClientHello has the time of a head, costs no thread, and holds up nobody."""
    with Short(tmp_path / "store", certificates) as short:
        threads = threading.active_count()
        half = [socket.create_connection(("127.0.0.1", short.server.server_port), timeout=10) for _ in range(3)]
        for connection in half:
            connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
        begun = time.monotonic()
        assert (True, threads) == (short.is_alive(), threading.active_count())
        assert [True] * 3 == [is_ended(connection) for connection in half]
        assert SHORT.header_timeout_s / 2 < time.monotonic() - begun < 5
        for connection in half:
            connection.close()


def test_what_is_no_tls(tmp_path: Path, certificates: Path) -> None:
    """Who speaks in the clear where TLS is spoken is told so by an alert, and closed at once."""
    with Short(tmp_path / "store", certificates) as short:
        with socket.create_connection(("127.0.0.1", short.server.server_port), timeout=10) as plain:
            plain.sendall(ALIVE)
            assert b"HTTP" not in plain.recv(1 << 16)
        assert short.is_alive()


def test_many_connections_with_tls_cost_no_thread(tmp_path: Path, certificates: Path) -> None:
    """The same loop serves them all."""
    with Short(tmp_path / "store", certificates) as short, ExitStack() as stack:
        short.server._loop._acceptor._limits = Limits()
        threads = threading.active_count()
        connections = [stack.enter_context(short.connect()) for _ in range(100)]
        assert all(is_alive(connection) for connection in connections)
        assert threads >= threading.active_count()


def test_a_thread_that_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit of processes the client gets 503 and its connection stays whole; /healthz needs no thread. When
    threads can be had again, all is as it was."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.partition("-")[0] in ("commits", "batches", "views", "queries"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with Running(tmp_path / "store") as collector:
        with socket.create_connection(("127.0.0.1", collector.port), timeout=10) as connection:
            for text in (b"GET /api/nodes HTTP/1.1\r\nHost: x\r\n\r\n", POST + b"Content-Length: 1\r\n\r\nx") * 3:
                connection.sendall(text)
                answered = connection.recv(1 << 16)
                assert (b"HTTP/1.1 503 ", True) == (answered[:13], b'"code":"SATURATED"' in answered)
                assert is_alive(connection)
        until(lambda: len(collector.server._loop._channels) == 0)
        assert "cannot start a thread for commits: can't start new thread" in collector.warnings
        monkeypatch.undo()
        assert 1 == collector.samples(LINE)["accepted"]
        assert 1 == len(collector.get("/api/nodes"))


def test_heads_and_bodies_without_end_have_a_bound_together(
    collector: Running, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """When more is kept for all connections than may be, whoever makes the collector keep most gets 503; the others
    go on."""
    monkeypatch.setattr(channels, "MAX_HELD", 100_000)
    small, large, largest = (socket.create_connection(("127.0.0.1", collector.port), timeout=10) for _ in range(3))
    for connection, size in ((small, 10_000), (largest, 130_000), (large, 95_000)):
        connection.sendall(POST + b"Content-Length: 200000\r\n\r\n" + b"x" * size)
    answer = largest.recv(1 << 16)
    assert (b"HTTP/1.1 503 ", True) == (answer[:13], b'"too much waits to be received"' in answer)
    for connection, size in ((small, 190_000), (large, 105_000)):
        connection.sendall(b"x" * size)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    until(lambda: collector.server._loop._channels.held == 0)
    for connection in (small, large, largest):
        connection.close()


@pytest.mark.parametrize("bound", ["bytes", "number"])
def test_work_without_end_has_a_bound(collector: Running, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    """What waits for a worker is bounded in number and in bytes; past that the client gets 503 and may come again."""
    gate = threading.Event()
    bodies = [b"x" * 100_000] * (2 if bound == "bytes" else 3)

    def wait(_: object) -> Response:
        assert gate.wait(10)
        return answer([])

    lane = collector.server._loop._work.lanes[Lane.BATCH]
    monkeypatch.setattr(collector.server.answers, "respond", wait)
    monkeypatch.setattr(loop, "MAX_IN_WORK", 150_000 if bound == "bytes" else 10**9)
    monkeypatch.setattr(lane, "_max_waiting", 1)
    connections = []
    for number, body in enumerate(bodies):
        connections.append(socket.create_connection(("127.0.0.1", collector.port), timeout=10))
        connections[-1].sendall(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        if number < len(bodies) - 1:
            until(lambda: collector.server._loop._channels.in_work == 100_000 * len(connections))
            until(lambda: lane._tasks.qsize() == len(connections) - 1)
    assert connections[-1].recv(1 << 16).startswith(b"HTTP/1.1 503 ")
    assert {"status": "ok"} == collector.get("/healthz")
    gate.set()
    assert all(connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ") for connection in connections[:-1])
    for connection in connections:
        connection.close()


def test_too_many_servers(collector: Running) -> None:
    """Past the limit a new server is refused and a known one goes on."""
    known = sample(0, interface(rx=1000))
    assert 1 == collector.samples(LINE)["accepted"]
    collector.writer.latest.update({f"s{number}": known for number in range(MOST_SERVERS - 1)})
    answer = collector.request("POST", "/api/v1/samples", line_of(sample(0, server="new")))
    message = f"this collector knows {MOST_SERVERS} servers and takes no more"
    assert (403, {"detail": {"code": "TOO_MANY_SERVERS", "message": message}}) == (answer.status, answer.json)
    assert 1 == collector.samples(line_of(sample(10, interface(rx=2000))))["accepted"]
    assert ["web1"] == [path.name for path in collector.data.iterdir() if path.is_dir()]


def test_too_many_interfaces(collector: Running) -> None:
    """A sample has a number of interfaces, and 422 says it; in a batch the line is refused and the others are not."""
    entry = json.loads(LINE)["network_interfaces"][0]
    listed = [{**entry, "name": f"e{number}"} for number in range(MAX_INTERFACES + 1)]
    answer = collector.post("/api/v1/agents/heartbeat", {**json.loads(LINE), "network_interfaces": listed})
    problem = {"loc": ["body", "network_interfaces"], "msg": f"should have at most {MAX_INTERFACES} interfaces"}
    assert (422, {"detail": [{**problem, "type": "value_error.length"}]}) == (answer.status, answer.json)
    receipt = collector.samples(json.dumps({**json.loads(LINE), "network_interfaces": listed}), LINE)
    assert (1, [1]) == (receipt["accepted"], [one["line"] for one in receipt["rejected"]])


def test_a_line_that_is_too_long(collector: Running) -> None:
    """A sample of megabytes is no sample: the line is refused with that reason, the others are stored."""
    long = LINE[:-1] + b',"note":"' + b"x" * (MAX_BODY // 2) + b'"}'
    receipt = collector.samples(long, line_of(sample(10, interface(rx=2000))))
    assert (1, [1]) == (receipt["accepted"], [one["line"] for one in receipt["rejected"]])


def extended(extra: bytes, server: str = "web1") -> bytes:
    """The line with one more key."""
    return LINE.replace(b'"web1"', b'"' + server.encode() + b'"')[:-1] + b',"x":' + extra + b"}"


@pytest.mark.parametrize("brackets", [b"[]", (b'{"a":', b"}")], ids=["lists", "objects"])
def test_deep_nesting(
    serve: type[Serving], run: Run, data: Path, brackets: tuple[bytes, bytes]  # noqa: F811
) -> None:  # fmt: skip
    """However deep a line nests, it is stored or refused; and what was stored is read again by every command and after
    every restart."""
    begin, end = (bytes([one]) if isinstance(one, int) else one for one in brackets)
    serving = serve()
    for depth in (10, 100, *range(300, 1000, 5), 5000, 100_000):
        line = extended(begin * depth + b"1" + end * depth, f"deep{depth}")
        answer = requests.post(f"{serving.url}/api/v1/samples", line, timeout=10)
        assert 200 == answer.status_code
        if (receipt := answer.json())["rejected"]:
            assert [{"line": 1, "error": "is nested too deeply"}] == receipt["rejected"]
        assert 1000 > depth or receipt["rejected"]
    assert 200 == requests.get(f"{serving.url}/api/v1/servers", timeout=10).status_code
    serving.process.kill()
    serving.process.wait()
    assert "listening on" in serve().said[-1]
    assert (0, "the store is sound\n", "") == run("store", "verify")


@pytest.mark.parametrize("digits", [20, 4000, 4300, 4301, 5000, 100_000])
@pytest.mark.parametrize("key", ["rx_bytes", "timestamp", "seq", "interval", "x", "speed_mbps"])
def test_long_numbers(collector: Running, digits: int, key: str) -> None:
    """A number of thousands of digits is refused on every route as any number that does not fit; never 500."""
    line = extended(b"1").replace(b'"network_interfaces":[{', b'"network_interfaces":[{"speed_mbps":1,')
    values = json.loads(line)
    (values["network_interfaces"][0] if key in values["network_interfaces"][0] else values)[key] = 12321
    text = json.dumps(values).encode().replace(b"12321", b"9" * digits)
    for path in ("/api/v1/samples", "/api/v1/agents/heartbeat", "/api/nodes"):
        assert collector.request("POST", path, text).status in (200, 400, 422)
    assert [] == collector.warnings


def test_a_gzip_bomb(collector: Running) -> None:
    """A body that unpacks to gigabytes is refused as soon as it passes the limit, in bounded time and memory."""
    inner = gzip.compress(b"\n" * (1 << 27))
    begun = time.monotonic()
    answer = collector.request("POST", "/api/v1/samples", inner, {"Content-Encoding": "gzip"})
    assert (413, "BODY_TOO_LARGE") == (answer.status, answer.json["detail"]["code"])
    assert time.monotonic() - begun < 5


def test_what_curl_sends_from_a_pipe(collector: Running) -> None:
    """`curl -T -` sends chunks: they are stored."""
    lines = b"\n".join(encode(sample(i, interface(rx=i))) for i in range(500))
    command = ["curl", "-sS", "-T", "-", f"{collector.url}/api/v1/samples"]
    answer = subprocess.run(command, input=lines, capture_output=True, timeout=20, check=True).stdout
    assert {"accepted": 500, "duplicates": 0, "rejected": []} == json.loads(answer)


NO_NAMES = ["..", ".", "../x", "a/b", "/etc/x", "-x", ".journal", "lock", "store.json", "é", "C:\\x", "%2e%2e", ""]


@pytest.mark.parametrize("name", [*NO_NAMES, "a b", "a\0b", "a\nb", "x" * 101])
def test_no_name_is_a_path(collector: Running, name: str) -> None:
    """What cannot be a folder in the store is no server, on every route that takes a name; nothing outside changes."""
    around = sorted(path for path in collector.data.parent.rglob("*") if collector.data not in path.parents)
    values = {**json.loads(LINE), "server_id": name}
    assert 1 == len(collector.samples(json.dumps(values))["rejected"])
    assert 422 == collector.post("/api/v1/agents/heartbeat", values).status
    assert 422 == collector.post("/api/nodes", {**values, "name": name}).status
    quoted = "".join(f"%{byte:02x}" for byte in name.encode()) or "%20"
    pages = (
        "/api/nodes/{}",
        "/api/v1/servers/{}",
        "/api/v1/servers/{}/interfaces",
        "/api/v1/metrics/sparkline/{}/network",
    )
    for path in pages:
        assert 404 == collector.request("GET", path.format(quoted)).status
    assert 404 == collector.request("DELETE", f"/api/nodes/{quoted}").status
    assert around == sorted(path for path in collector.data.parent.rglob("*") if collector.data not in path.parents)
    assert {"store.json", "lock"} >= {path.name for path in collector.data.iterdir()}


def test_nothing_sent_reaches_a_terminal_or_a_log_raw(serve: type[Serving], run: Run) -> None:  # noqa: F811
    """Escape sequences, line ends and formulas in names are spelled out by every command; the log has one line per
    event."""
    evil = "\x1b]0;owned\x07\x1b[2J\nnetcli: forged\r\u202e=1+1"
    serving = serve()
    moment = (now() - sample(0).timestamp) / 1000
    for ago in (20, 10):
        one = sample(moment - ago, interface(evil, rx=1000, kind=evil), hostname=evil, boot=evil)
        assert requests.post(f"{serving.url}/api/v1/samples", line_of(one), timeout=5).json()["accepted"] == 1
    requests.get(f"{serving.url}/api/nodes/%1b%5b2J%0anetcli:%20forged", headers={"User-Agent": "\x1b[2J"}, timeout=5)
    commands = (["nodes"], ["nodes", "web1"], ["spark"], ["spark", "web1"], ["report"], ["store", "info"])
    told = [run(*command) for command in (*commands, ["nodes", "--from", serving.url])]
    told.append(run("spark", "--iface", evil))
    for result in told:
        text = result.stdout + result.stderr
        assert "Traceback" not in text
        assert not {"\x1b", "\x07", "\r", "\u202e"} & set(text)
        assert "netcli: forged" not in [line[:14] for line in text.splitlines()]
    assert (0, "netcli: stopped; everything that was accepted is stored\n") == serving.stop()


def heartbeats(collector: Running, count: int) -> list[int]:
    """The statuses of so many heartbeats of an agent that goes about its work."""
    lines = [line_of(sample(100 + number, interface(rx=number), server="busy")) for number in range(count)]
    return [collector.request("POST", "/api/v1/agents/heartbeat", line).status for line in lines]


def test_readers_that_do_not_read(collector: Running) -> None:
    """Whoever asks for megabytes and then takes none of them holds up nobody who sends; and when it reads at last it
    gets all of it."""
    listed = [interface(f"veth{number}", rx=number) for number in range(1000)]
    for server in range(20):
        assert 1 == collector.samples(line_of(sample(0, *listed, server=f"s{server}")))["accepted"]
    with ExitStack() as stack:
        readers = [stack.enter_context(socket.socket()) for _ in range(8)]
        for reader in readers:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            reader.settimeout(30)
            reader.connect(("127.0.0.1", collector.port))
            reader.sendall(b"GET /api/v1/servers HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert {200} == set(heartbeats(collector, 100))
        whole = [b"".join(iter(lambda: readers[0].recv(1 << 16), b"")), collector.request("GET", "/api/v1/servers")]
    assert 21 == len(whole[1].json)
    assert 20 <= len(json.loads(whole[0].partition(b"\r\n\r\n")[2]))


def test_a_sender_that_never_reads_its_answers(either: Short) -> None:
    """It is cut off when the time for an answer is over; others are served meanwhile."""
    request = POST + b"Content-Length: %d\r\n\r\n" % len(LINE) + LINE
    with either.connect(receive_buffer=4096) as deaf:
        deaf.settimeout(30)
        with pytest.raises((ConnectionError, ssl.SSLEOFError)):
            deaf.sendall(request * 100_000)
    assert either.is_alive()


def test_a_large_answer_to_a_small_request(collector: Running) -> None:
    """Of thousands of mistakes in one sample the first are named and the others counted; of thousands of bad lines each
    is told, and the answer comes whole however late the client reads it."""
    answer = collector.post("/api/v1/agents/heartbeat", {**json.loads(LINE), "network_interfaces": [{}] * 10_000})
    assert (422, 21) == (answer.status, len(answer.json["detail"]))
    assert {"loc": ["body"], "msg": "and 59980 fields more are wrong", "type": "value_error.more"} == answer.json[
        "detail"
    ][-1]
    body = b"{}\n" * 19_999
    with socket.create_connection(("127.0.0.1", collector.port), timeout=20) as connection:
        head = POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body)
        time.sleep(0.5)  # long enough for the system to keep no more of it
        text = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert 19_999 == len(json.loads(text.partition(b"\r\n\r\n")[2])["rejected"])


def test_requests_of_a_hasty_client_are_answered_in_turn_with_those_of_others(collector: Running) -> None:
    """A client that sends hundreds of requests without waiting gets as many answers, and another one is not kept until
    they are done."""
    request = POST + b"Content-Length: %d\r\n\r\n" % len(LINE) + LINE
    last = request.replace(b"Host: x", b"Host: x\r\nConnection: close")
    assert 300 == collector.raw(request * 299 + last).count(b"HTTP/1.1 200 OK")
