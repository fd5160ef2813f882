"""netcli send, and collect --send: every line delivered, or said what became of it."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import PATIENCE, PROGRAM, Run, Serving, text_of
from tests.collector.conftest import Running
from tests.given import interface, sample
from tests.transport.test_client import Peer, Reply, answer, closed_port, detail

LINES = text_of([sample(i * 10, interface(rx=i * 1000)) for i in range(3)])


def test_files_and_standard_input_are_delivered(run: Run, tmp_path: Path) -> None:
    """Each line is stored once, as the bytes that it is, however often it is sent; --quiet says nothing of it."""
    first, rest = LINES.splitlines(True)[0], b"".join(LINES.splitlines(True)[1:])
    (tmp_path / "day.jsonl").write_bytes(first)
    with Running(tmp_path / "store") as collector:
        url = f"{collector.url}/api/v1/samples"
        sent = run("send", collector.url, tmp_path / "day.jsonl", "-", stdin=rest)
        assert (0, "", f"netcli: 3 stored at {url}\n") == sent
        assert (0, "", f"netcli: 0 stored, 3 already there at {url}\n") == run("send", collector.url, stdin=LINES)
        assert (0, "", "") == run("send", "-q", f"127.0.0.1:{collector.port}", "-", stdin=LINES)
        assert {"2026-11-21.jsonl": LINES.decode()} == collector.stored("web1")


def test_rejected_lines_are_named_and_the_rest_is_stored(run: Run, tmp_path: Path) -> None:
    """Each by its file, number and reason; the exit code says that not all is well."""
    path = tmp_path / "day.jsonl"
    path.write_bytes(b"not json\n\n" + LINES + b'{"timestamp":0}\n' + LINES[:45])
    with Running(tmp_path / "store") as collector:
        result = run("send", collector.url, path)
        assert (1, "") == result[:2]
        assert [
            f"netcli: {path}:1: rejected: is not JSON: Expecting value: line 1 column 1 (char 0)",
            f"netcli: {path}:6: rejected: server_id: is missing",
            f"netcli: {path}:7: rejected: is not JSON: Unterminated string starting at: line 1 column 41 (char 40)",
            f"netcli: 3 stored, 3 rejected at {collector.url}/api/v1/samples",
        ] == result.stderr.splitlines()
        assert {"2026-11-21.jsonl": LINES.decode()} == collector.stored("web1")


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(200, b"<html>It works!</html>"), "200, but not as a netcli collector does\n  check the address"),
        (Reply(401, detail("no token")), "401: no token\n  give the collector's token (--token-file)"),
        (
            Reply(302, b"", (("Location", "http://elsewhere/"),)),
            "302: Found\n  is that address a netcli collector?",
        ),
        (Reply(400, detail("\x1b[31mred")), "400: \\u001b[31mred\n  is that address a netcli collector?"),
        (Reply(418, b"", ()), "418: I'm a Teapot\n  is that address a netcli collector?"),
    ],
    ids=["garbage", "token", "redirect", "escape", "teapot"],
)
def test_a_peer_that_will_not_take_them(run: Run, reply: Reply, said: str) -> None:
    """What no retry can mend is told at once, with what to do, and nothing of it reaches the terminal raw."""
    with Peer(reply) as peer:
        assert (1, "", f"netcli: {peer.url}/api/v1/samples answered {said}\n") == run("send", peer.url, stdin=LINES)


def test_what_a_peer_says_of_a_line_is_never_printed_raw(run: Run) -> None:
    """Escape sequences in the reason for a rejected line are spelled out."""
    bad = [{"line": 2, "error": "\x1b[31mred\n\x07"}]
    with Peer(Reply(200, answer(2, 0, bad))) as peer:
        result = run("send", peer.url, stdin=LINES)
    told = f"netcli: -:2: rejected: \\x1b[31mred\\n\\x07\nnetcli: 2 stored, 1 rejected at {peer.url}/api/v1/samples\n"
    assert (1, "", told) == result


def test_a_peer_that_refuses_while_lines_still_come(env: dict[str, str]) -> None:
    """Sending ends with its message though standard input stays open, as in `netcli collect | netcli send`."""
    with Peer(judge=lambda _: Reply(401)) as peer:
        command = [*PROGRAM, "send", peer.url]
        with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
            assert process.stdin is not None
            assert process.stderr is not None
            process.stdin.write(LINES)
            code, said = process.wait(PATIENCE), process.stderr.read().decode()
        token = "give the collector's token (--token-file)"
        assert (1, f"netcli: {peer.url}/api/v1/samples answered 401: Unauthorized\n  {token}\n") == (code, said)


def test_a_file_that_cannot_be_read_to_its_end(run: Run, tmp_path: Path) -> None:
    """A reading error is told and is exit code 1, not the end of the file; other files are sent all the same."""
    with Peer() as peer:
        (tmp_path / "day.jsonl").write_bytes(LINES)
        told = (
            f"netcli: cannot read /proc/self/mem: Input/output error\nnetcli: 3 stored at {peer.url}/api/v1/samples\n"
        )
        assert (1, "", told) == run("send", peer.url, "/proc/self/mem", tmp_path / "day.jsonl")


def test_a_peer_that_recovers(run: Run) -> None:
    """A failing peer is tried again, which is said with its reason; then all is well."""
    with Peer(Reply(500, detail("an error"))) as peer:
        result = run("send", peer.url, stdin=LINES)
        assert [LINES.splitlines()] * 2 == [one.lines for one in peer.received]
    assert (0, "") == result[:2]
    again, done = result.stderr.splitlines()
    assert again.startswith(f"netcli: {peer.url}/api/v1/samples answered 500: an error; trying again, next in ")
    assert done == f"netcli: 3 stored at {peer.url}/api/v1/samples"


def test_a_peer_that_is_down_and_comes_up(env: dict[str, str], tmp_path: Path) -> None:
    """Lines sent while nobody listens are delivered when somebody does."""
    port = closed_port()
    command = [*PROGRAM, "send", f"127.0.0.1:{port}", "-"]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=env, **pipes) as process, socket.socket() as listener:  # type: ignore[call-overload]
        assert process.stdin is not None
        assert process.stderr is not None
        line = LINES.splitlines(True)[0]
        process.stdin.write(line)
        process.stdin.close()
        url = f"http://127.0.0.1:{port}/api/v1/samples"
        said = process.stderr.readline().decode()
        assert said.startswith(f"netcli: cannot reach {url}: Connection refused; trying again, next in ")
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        connection, _ = listener.accept()
        with connection:
            request = b""
            while line not in request:
                chunk = connection.recv(1 << 16)
                assert chunk, request
                request += chunk
            body = answer(1, 0, [])
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            assert process.wait(timeout=PATIENCE) == 0
        assert process.stderr.read().decode() == f"netcli: 1 stored at {url}\n"


def test_collect_send_delivers_in_one_process(run: Run, serve: Callable[[], Serving], data: Path) -> None:
    """`collect --send` is `collect | send` without the pipe: every sample is stored, and it says nothing."""
    url = serve().url
    sampling = ("--all", "--server-id", "box", "--interval", "0.05", "--count", "4")
    assert (0, "", "") == run("collect", *sampling, "--send", url)
    lines = [json.loads(line) for path in (data / "box").glob("*") for line in path.read_text().splitlines()]
    assert [0, 1, 2, 3] == [line["seq"] for line in lines]


def test_collect_send_to_a_peer_that_refuses(run: Run) -> None:
    """What a peer refuses for want of a token is kept, and the reason is told."""
    with Peer(judge=lambda _: Reply(401)) as peer:
        result = run("collect", "--send", peer.url)
    assert (1, "") == result[:2]
    said, hint = result.stderr.splitlines()
    assert said.startswith(f"netcli: {peer.url}/api/v1/samples answered 401: Unauthorized; the lines are kept in /")
    assert hint == "  give the collector's token (--token-file)"


ODD_FILES = {
    "gzip": (gzip.compress(LINES), 0, ""),
    "members": (b"".join(gzip.compress(line) for line in LINES.splitlines(True)), 0, ""),
    "padded": (gzip.compress(LINES) + bytes(5000), 0, ""),
    "byte order mark": (b"\xef\xbb\xbf" + LINES, 0, ""),
    "NULs": (bytes(5000) + LINES, 0, "{}: 5000 NUL bytes are left out\n"),
    "carriage returns": (LINES.replace(b"\n", b"\r\n"), 0, ""),
    "no newline": (LINES[:-1], 0, ""),
    "appended": (gzip.compress(LINES) + b"text", 1, "{}: 4 bytes after the gzip data are left out\n"),
    "cut": (gzip.compress(LINES + b"x" * 99 + b"\n")[:-8], 1, "{}: the gzip data breaks off\n"),
}


@pytest.mark.parametrize("kind", ODD_FILES)
def test_files_as_they_are_found(run: Run, tmp_path: Path, kind: str) -> None:
    """Packed, marked, padded, cut: every line that can be read is stored, from a file and from standard input, and what
    cannot be read is told, with exit code 1."""
    text, code, told = ODD_FILES[kind]
    path = tmp_path / "day"
    path.write_bytes(text)
    for arguments, stdin, name in (([path], b"", str(path)), ([], text, "standard input")):
        with Peer() as peer:
            result = run("send", "-q", peer.url, *arguments, stdin=stdin)
        wrong = f"netcli: {told}".format(name) if told else ""
        assert (code, "", wrong) == result
        assert LINES.splitlines() == [line for one in peer.received for line in one.lines][:3]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument 'URL'"),
        (["ftp://x"], "'ftp://x' is not the address of a collector\n  write for example http://web1:8477"),
        (["http://x", "nofile"], "'nofile': No such file or directory"),
    ],
)
def test_wrong_usage(run: Run, arguments: list[str], said: str) -> None:
    """What cannot be understood is exit code 2 and one sentence."""
    result = run("send", *arguments)
    assert (2, "", True) == (result.returncode, result.stdout, said in result.stderr)
