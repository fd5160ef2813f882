"""How much one client may ask for: every limit has an answer that says which it is, and harms nobody else."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from netstat_cli.collector.incoming import MAX_BODY, Limits
from netstat_cli.collector.live import Live, Thresholds
from netstat_cli.collector.routes import MOST_SERVERS, Collector
from netstat_cli.collector.server import Address, Server, serve_in_thread
from netstat_cli.store.writer import Writer
from netstat_cli.times import now
from netstat_cli.wire import MAX_INTERFACES, encode
from tests.cli.conftest import Run, Serving, env, run, serve  # noqa: F401  the real program
from tests.collector.conftest import Running
from tests.given import interface, sample

LINE = encode(sample(0, interface(rx=1000)))[:-1]
ALIVE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /api/v1/samples HTTP/1.1\r\nHost: x\r\n"
SHORT = Limits(connections=4, idle=0.4, head=0.4, body=0.6)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Where the real program keeps its store."""
    return tmp_path / "state" / "netcli"


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Server]:
    """A collector that is short of everything."""
    warnings: list[str] = []
    with Writer(str(tmp_path / "store"), "the tests", warnings.append) as writer:
        collector = Collector(str(tmp_path / "store"), writer, Live(writer.latest, now()), Thresholds())
        server = Server(Address("127.0.0.1", 0), collector, warnings.append, limits=SHORT)
        finish = serve_in_thread(server)
        yield server
        finish()
    assert [] == warnings


def connect(server: Server) -> socket.socket:
    """A connection to it."""
    return socket.create_connection(("127.0.0.1", server.server_port), timeout=10)


def trickled(server: Server, begin: bytes, drop: bytes) -> tuple[bytes, float]:
    """What comes back while bytes are sent one by one for ever, and after how many seconds."""
    begun = time.monotonic()
    with connect(server) as connection:
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
            except ConnectionError:
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
def test_a_request_that_trickles_in(strict: Server, begin: bytes, drop: bytes) -> None:
    """Slowloris: however steadily the bytes come, headers and body have a time, after which the answer is 408."""
    answer, seconds = trickled(strict, begin, drop)
    assert seconds < 5
    assert b"HTTP/1.1 408 " == answer[:13]


@pytest.mark.parametrize("request_text", [ALIVE, POST + b"Content-Length: %d\r\n\r\n" % len(LINE) + LINE])
def test_a_connection_without_requests_is_closed(strict: Server, request_text: bytes) -> None:
    """Between requests a client may be silent for so long; then the connection is closed without a word."""
    with connect(strict) as connection:
        connection.sendall(request_text)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"" == connection.recv(1 << 16)


def test_too_many_connections(strict: Server) -> None:
    """Past the cap the answer is 503 with a time to come back, without a thread; when one ends there is room again."""
    with ExitStack() as stack:
        for _ in range(SHORT.connections):
            connection = stack.enter_context(connect(strict))
            connection.sendall(ALIVE)
            assert connection.recv(1 << 16)
        threads = threading.active_count()
        with connect(strict) as refused:
            answer = refused.recv(1 << 16)
            assert b"" == refused.recv(1)
        assert (b"HTTP/1.1 503 ", True) == (answer[:13], b"\r\nRetry-After: 5\r\n" in answer)
        assert b'{"code":"SATURATED","message":"too many connections"}' in answer
        assert threads >= threading.active_count()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with connect(strict) as connection:
            connection.sendall(ALIVE)
            if connection.recv(1 << 16).startswith(b"HTTP/1.1 200"):
                return
    pytest.fail("there was no room again")


def test_too_many_servers(collector: Running) -> None:
    """Past the limit a new server is refused and a known one goes on."""
    known = sample(0, interface(rx=1000))
    assert 1 == collector.samples(LINE)["accepted"]
    collector.writer.latest.update({f"s{number}": known for number in range(MOST_SERVERS - 1)})
    answer = collector.request("POST", "/api/v1/samples", encode(sample(0, server="new")))
    message = f"this collector knows {MOST_SERVERS} servers and takes no more"
    assert (403, {"detail": {"code": "TOO_MANY_SERVERS", "message": message}}) == (answer.status, answer.json)
    assert 1 == collector.samples(encode(sample(10, interface(rx=2000))))["accepted"]
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
    receipt = collector.samples(long, encode(sample(10, interface(rx=2000))))
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
    lines = b"\n".join(encode(sample(i, interface(rx=i)))[:-1] for i in range(500))
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
        assert requests.post(f"{serving.url}/api/v1/samples", encode(one), timeout=5).json()["accepted"] == 1
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
    lines = [encode(sample(100 + number, interface(rx=number), server="busy")) for number in range(count)]
    return [collector.request("POST", "/api/v1/agents/heartbeat", line).status for line in lines]


def test_readers_that_do_not_read(collector: Running) -> None:
    """Whoever asks for megabytes and then takes none of them holds up nobody who sends; and when it reads at last it
    gets all of it."""
    listed = [interface(f"veth{number}", rx=number) for number in range(1000)]
    for server in range(20):
        assert 1 == collector.samples(encode(sample(0, *listed, server=f"s{server}")))["accepted"]
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


def test_a_sender_that_never_reads_its_answers(strict: Server) -> None:
    """It is cut off when the time for an answer is over; others are served meanwhile."""
    request = POST + b"Content-Length: %d\r\n\r\n" % len(LINE) + LINE
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(30)
        deaf.connect(("127.0.0.1", strict.server_port))
        with pytest.raises(ConnectionError):
            deaf.sendall(request * 100_000)
    with connect(strict) as connection:
        connection.sendall(ALIVE)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 OK\r\n")


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
