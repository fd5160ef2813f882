"""Who may talk to a collector: tokens, browsers, names, certificates."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.collector.conftest import Running
from tests.given import interface, line_of, sample

LINE = line_of(sample(0, interface(rx=1000)))
NETCLI = [sys.executable, "-m", "netstat_cli"]
ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
SECRET = "hunter2-0123456789"


@contextmanager
def serving(tmp_path: Path, *options: str, **env: str) -> Iterator[str]:
    """A `netcli serve` on a free port; its address."""
    listen = () if "--listen" in options else ("--listen", "127.0.0.1:0")
    command = [*NETCLI, "serve", *listen, "--data", str(tmp_path / "data"), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENV | env) as process:
        try:
            assert process.stderr is not None
            yield process.stderr.readline().split()[3].rstrip(",")
        finally:
            process.terminate()
            rest = process.communicate(timeout=20)[1]
            assert SECRET not in rest
            assert "Traceback" not in rest


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """A token file with two tokens."""
    path = tmp_path / "tokens"
    path.write_text(f"# agents\n{SECRET}\n\nsecond\n")
    return path


def status(url: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> int:
    """What a GET, or a POST where there is a body, is answered with."""
    return requests.request("POST" if body else "GET", url + path, headers=headers, data=body, timeout=10).status_code


def test_a_token_in_any_of_three_headers(tmp_path: Path, tokens: Path) -> None:
    """Each token of the file counts, in whichever header; nothing else does, on no route but /healthz."""
    with serving(tmp_path, "--token-file", str(tokens)) as url:
        good = [
            {"Authorization": f"Bearer {SECRET}"},
            {"authorization": "bearer second"},
            {"X-API-Key": SECRET},
            {"X-Agent-Token": "second"},
            {"X-API-Key": "wrong", "X-Agent-Token": SECRET},
        ]
        assert [200] * 5 == [status(url, "/api/nodes", headers) for headers in good]
        bad = [{}, {"Authorization": f"Basic {SECRET}"}, {"Authorization": SECRET}, {"X-API-Key": ""}]
        bad += [{"X-API-Key": SECRET[:-1]}, {"X-API-Key": SECRET + "x"}, {"X-API-Key": "# agents"}]
        bad += [{"X-API-Key": f"{SECRET}\nsecond".replace("\n", " ")}, {"X-API-Key": "\xe9"}, {"Cookie": SECRET}]
        assert [401] * 10 == [status(url, "/api/nodes", headers) for headers in bad]
        pages = ["/", "/openapi.json", "/api/stats", "/api/v1/servers", "/nothing", f"/api/nodes?token={SECRET}"]
        assert [401] * 6 == [status(url, page) for page in pages]
        assert [401, 401] == [status(url, page, body=LINE) for page in ("/api/v1/samples", "/healthz/../api/nodes")]
        assert 200 == status(url, "/healthz")
        answer = requests.get(f"{url}/api/nodes", headers={"X-API-Key": SECRET[:-1]}, timeout=10)
        assert "Bearer" == answer.headers["WWW-Authenticate"]
        assert {"detail": {"code": "UNAUTHORIZED", "message": "a token is missing or wrong"}} == answer.json()
        assert not (tmp_path / "data" / "web1").exists()


def test_without_a_token_no_body_is_taken(tmp_path: Path, tokens: Path) -> None:
    """Who has no token is refused at the headers: the collector neither invites, waits for nor unpacks a body."""
    with serving(tmp_path, "--token-file", str(tokens)) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            head = b"POST /api/v1/samples HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\nExpect: 100-continue\r\n\r\n"
            connection.sendall(head)
            assert connection.recv(1000).startswith(b"HTTP/1.1 401 ")


def test_tokens_are_read_again_when_the_file_changes(tmp_path: Path, tokens: Path) -> None:
    """A new token counts and an old one does not from the next request on; a file that is gone or empty changes
    nothing."""
    with serving(tmp_path, "--token-file", str(tokens)) as url:
        old, new = {"X-API-Key": SECRET}, {"X-API-Key": "brand-new"}
        assert (200, 401) == (status(url, "/api/nodes", old), status(url, "/api/nodes", new))
        tokens.write_text("brand-new\n")
        assert (401, 200) == (status(url, "/api/nodes", old), status(url, "/api/nodes", new))
        tokens.write_text("# none\n")
        assert (401, 200) == (status(url, "/api/nodes", old), status(url, "/api/nodes", new))
        tokens.unlink()
        assert (401, 200) == (status(url, "/api/nodes", old), status(url, "/api/nodes", new))
        tokens.write_text(SECRET)
        assert (200, 401) == (status(url, "/api/nodes", old), status(url, "/api/nodes", new))


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_beyond_this_machine_only_with_a_token(tmp_path: Path, tokens: Path, host: str) -> None:
    """Listening for others without asking them for a token is wrong usage, unless it is said to be meant."""
    command = [*NETCLI, "serve", "--listen", f"{host}:0", "--data", str(tmp_path / "data")]
    refused = subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=20, check=False)
    assert (2, "") == (refused.returncode, refused.stdout)
    assert "can be reached by others, and no token is asked of them: give --token-file FILE" in refused.stderr
    for options in (["--allow-anonymous"], ["--token-file", str(tokens)]):
        with serving(tmp_path, "--listen", f"{host}:0", *options) as url:
            local = url.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
            assert 200 == status(local, "/healthz")
            assert (200 if "--allow-anonymous" in options else 401) == status(local, "/api/nodes")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:8477", 200), ("localhost", 200), ("[::1]:8477", 200), ("box", 200), ("netcli.localhost:1", 200),
        ("evil.example", 403), ("evil.example:8477", 403), ("127.0.0.1.evil.example", 403), ("[::1", 400),
    ],
)  # fmt: skip
def test_a_public_name_for_loopback_is_a_trick(collector: Running, host: str, expected: int) -> None:
    """DNS rebinding: a collector on loopback answers to addresses and to names that no public DNS has."""
    answer = collector.request("GET", "/api/nodes", headers={"Host": host})
    assert expected == answer.status
    if expected == 403:
        assert "FORBIDDEN_HOST" == answer.json["detail"]["code"]


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "https://127.0.0.1:1", "http://127.0.0.1.evil.example", "http://[", "\xff", ""],
)
def test_a_web_page_of_others_may_not_post(collector: Running, origin: str) -> None:
    """A cross-origin request is refused by its Origin, whatever that looks like, and stores nothing; no answer invites
    browsers."""
    headers = {"Origin": origin, "Content-Type": "application/json"}
    answer = collector.request("POST", "/api/v1/samples", LINE, headers)
    assert (403, "FORBIDDEN_ORIGIN") == (answer.status, answer.json["detail"]["code"])
    assert [] == [name for name in answer.headers if name.lower().startswith("access-control")]
    assert ({}, []) == (collector.stored("web1"), collector.warnings)


def test_tls(tmp_path: Path, certificates: Path) -> None:
    """With a certificate the collector speaks TLS 1.2 and later and nothing else; a client knows it by --ca-cert."""
    options = ("--tls-cert", f"{certificates}/server.pem", "--tls-key", f"{certificates}/server.key")
    with serving(tmp_path, *options) as url:
        assert url.startswith("https://127.0.0.1:")
        send = [*NETCLI, "send", url]
        refused = subprocess.run(send, input=LINE, env=ENV, capture_output=True, check=False)
        assert (1, b"certificate verify failed" in refused.stderr) == (refused.returncode, True)
        known = subprocess.run(
            [*send, "--ca-cert", f"{certificates}/server.pem"], input=LINE, env=ENV, capture_output=True, check=False
        )
        assert (0, b"netcli: 1 stored") == (known.returncode, known.stderr[:16])
        port = int(url.rpartition(":")[2])
        versions = {}
        for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
            with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
                try:
                    versions[version.name] = context.wrap_socket(plain).version()
                except (ssl.SSLError, ConnectionError):
                    versions[version.name] = None
        assert {"TLSv1_1": None, "TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"} == versions
        with pytest.raises(requests.ConnectionError):
            requests.get(url.replace("https", "http"), timeout=10)
        assert requests.get(f"{url}/healthz", verify=f"{certificates}/server.pem", timeout=10).ok


def test_client_certificates(tmp_path: Path, certificates: Path) -> None:
    """With --client-ca only clients with a certificate of that authority get an answer."""
    server = ("--tls-cert", f"{certificates}/server.pem", "--tls-key", f"{certificates}/server.key")
    with serving(tmp_path, *server, "--client-ca", f"{certificates}/client.pem") as url:
        ask = [*NETCLI, "nodes", "--json", "--from", url, "--ca-cert", f"{certificates}/server.pem"]
        own = ["--client-cert", f"{certificates}/client.pem", "--client-key", f"{certificates}/client.key"]
        other = ["--client-cert", f"{certificates}/server.pem", "--client-key", f"{certificates}/server.key"]
        assert 200 == requests.post(
            f"{url}/api/v1/samples", LINE, timeout=10, verify=ask[-1], cert=(own[1], own[3])
        ).status_code  # fmt: skip
        said = [subprocess.run(ask + more, env=ENV, capture_output=True, check=False) for more in (own, [], other)]
        assert [(0, True), (1, False), (1, False)] == [(one.returncode, b'"web1"' in one.stdout) for one in said]
        assert not any(b"Traceback" in one.stderr for one in said)


@pytest.mark.parametrize(
    ("content", "code"),
    [(f"{SECRET}\n", 1), (f"{SECRET}\xe9\n", 2), (f"# {SECRET}\n", 2)],
    ids=["wrong", "odd", "none"],
)
def test_a_secret_is_never_said(tmp_path: Path, tokens: Path, content: str, code: int) -> None:
    """Neither in errors nor in `ps`: not by the sender whose token is wrong, nor by one whose file cannot be used."""
    tokens.write_text("another\n")
    wrong = tmp_path / "wrong"
    wrong.write_text(content, encoding="utf-8")
    with serving(tmp_path, "--token-file", str(tokens)) as url:
        command = [*NETCLI, "send", "--token-file", str(wrong), url]
        done = subprocess.run(command, input=LINE, env=ENV, capture_output=True, timeout=20, check=False)
    assert (code, b"") == (done.returncode, done.stdout)
    assert (SECRET.encode() in done.stderr, b"Traceback" in done.stderr) == (False, False)
