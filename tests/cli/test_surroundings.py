"""What stands around a command (the environment, files of other programs) has no say in what was not left to it."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import PATIENCE, PROGRAM, Result, Run, text_of
from tests.given import interface, sample
from tests.transport.test_client import Peer, closed_port

LINES = text_of([sample(i * 10, interface(rx=i * 1000)) for i in range(3)])


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """A file with a token."""
    path = tmp_path / "token"
    path.write_text("the-token\n")
    return path


def test_the_token_is_sent_whatever_netrc_says(run: Run, tmp_path: Path, token: Path) -> None:
    """A password that ~/.netrc or $NETRC keeps for the peer's host is not sent, with a token or without one."""
    for name in (".netrc", "other"):
        (tmp_path / name).write_text("machine 127.0.0.1 login eve password secret\ndefault login eve password secret\n")
        (tmp_path / name).chmod(0o600)
    with Peer() as peer:
        for netrc in ("", str(tmp_path / "other")):
            assert 0 == run("send", peer.url, "--token-file", token, stdin=LINES, NETRC=netrc).returncode
            assert 0 == run("send", peer.url, stdin=LINES, NETRC=netrc).returncode
    assert ["Bearer the-token", None] * 2 == [one.headers.get("Authorization") for one in peer.received]


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_loopback_is_asked_without_a_proxy(run: Run, name: str) -> None:
    """A proxy is for the way out; nobody else can reach this machine's own addresses."""
    with Peer() as proxy, Peer() as peer:
        assert 0 == run("send", peer.url, stdin=LINES, **{name: proxy.url}).returncode
        localhost = peer.url.replace("127.0.0.1", "localhost")
        assert 0 == run("send", localhost, stdin=LINES, **{name: proxy.url}).returncode
    assert (2, 0) == (len(peer.received), len(proxy.received))


def test_reading_from_loopback_asks_no_proxy(run: Run) -> None:
    """`--from` goes the way that `send` goes."""
    proxy = f"http://127.0.0.1:{closed_port()}"
    url = f"http://127.0.0.1:{closed_port()}"
    result = run("nodes", "--from", url, http_proxy=proxy)
    said = f"netcli: cannot reach {url}/api/v1/servers: Connection refused\n  is `netcli serve` running there?\n"
    assert (1, "", said) == result


def test_a_peer_elsewhere_is_asked_through_the_proxy(run: Run, token: Path) -> None:
    """$http_proxy is honoured for a peer that is not this machine, and $no_proxy exempts hosts from it."""
    with Peer() as proxy:
        way = {"http_proxy": proxy.url}
        sent = run("send", "http://web1.invalid:8477", "--token-file", token, stdin=LINES, **way)
        assert (0, "", "netcli: 3 stored at http://web1.invalid:8477/api/v1/samples\n") == sent
    (received,) = proxy.received
    assert ("http://web1.invalid:8477/api/v1/samples", "Bearer the-token") == (
        received.path,
        received.headers["Authorization"],
    )


def test_a_proxy_that_is_away_is_named(run: Run, tmp_path: Path) -> None:
    """Who cannot be reached is told with the proxy in between, without the password that it wants."""
    port = closed_port()
    spool = tmp_path / "spool"
    proxy = f"http://eve:secret@127.0.0.1:{port}"
    result = run("send", "--spool", spool, "http://web1.invalid", stdin=LINES, http_proxy=proxy)
    assert (75, True, False) == (
        result.returncode,
        f"cannot reach http://web1.invalid/api/v1/samples through the proxy 127.0.0.1:{port}: " in result.stderr,
        "secret" in result.stderr,
    )


@pytest.fixture
def tls_peer(certificates: Path) -> Iterator[Peer]:
    """A peer that speaks TLS with server.pem."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    with Peer(tls=context) as peer:
        yield peer


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_authorities_that_were_given_decide_alone(run: Run, certificates: Path, tls_peer: Peer, name: str) -> None:
    """With --ca-cert nothing else is trusted, and it is trusted whatever else is set; where it is not given, what
    stands in the environment for this is."""
    server, other = (str(certificates / f"{who}.pem") for who in ("server", "other"))
    refused = run("send", tls_peer.url, "--ca-cert", other, stdin=LINES, **{name: server})
    assert (1, True) == (refused.returncode, "certificate verify failed" in refused.stderr)
    assert [] == tls_peer.received
    assert 0 == run("send", tls_peer.url, "--ca-cert", server, stdin=LINES, **{name: other}).returncode
    assert 0 == run("send", tls_peer.url, stdin=LINES, **{name: server}).returncode
    gone = run("send", tls_peer.url, stdin=LINES, **{name: "/no/file"})
    assert (2, f"netcli: cannot read /no/file, which ${name} names\n  give --ca-cert FILE\n") == gone[::2]


def test_authorities_are_nothing_to_plain_http(run: Run) -> None:
    """A stale $REQUESTS_CA_BUNDLE stops nobody who speaks no TLS."""
    with Peer() as peer:
        assert 0 == run("send", peer.url, stdin=LINES, REQUESTS_CA_BUNDLE="/no/file").returncode


@pytest.mark.parametrize(
    "arguments", [("send",), ("collect", "--send"), ("nodes", "--from"), ("spark", "--from"), ("report", "--from")]
)
def test_a_password_in_an_address_is_refused(run: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Wherever an address is given; it stands in no message and in no folder's name."""
    result = run(*arguments, "http://eve:secret@127.0.0.1:8477", stdin=LINES)
    refused = "netcli: the address of a collector bears no user and no password\n"
    hint = "  put the collector's token into a file and name that: --token-file FILE\n"
    assert (2, "", refused + hint) == result
    assert [] == [path for path in tmp_path.rglob("*") if "secret" in path.name]


def without_home(script: str, env: dict[str, str], *arguments: str | Path) -> Result:
    """Run the program as a user that has no home and no entry in /etc/passwd."""
    lost = {name: value for name, value in env.items() if name not in ("HOME", "XDG_STATE_HOME")}
    command = ["unshare", "--user", "--map-user=54321", "bash", "-c", script, "bash", *PROGRAM]
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, env=lost, timeout=PATIENCE, check=False, cwd="/tmp"
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user that is nowhere")
@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("collect", "--store"), "--data"),
        (("nodes",), "--data"),
        (("serve", "--listen", "0"), "--data"),
        (("collect", "--send", "http://127.0.0.1:1"), "--spool"),
    ],
)
def test_without_a_home_a_folder_must_be_named(env: dict[str, str], arguments: tuple[str, ...], option: str) -> None:
    """No folder named `~` is made; the message says which option names one."""
    for script in ('unset HOME; "$@"', 'HOME= "$@"'):
        told = f"  name a folder with {option} DIR, or set $HOME\n"
        said = f"netcli: there is no folder to keep things in: this user has no home\n{told}"
        assert (2, "", said) == without_home(script, env, *arguments)
    assert not Path("/tmp/~").exists()


def test_a_folder_is_the_same_wherever_it_is_used(run: Run, env: dict[str, str], tmp_path: Path) -> None:
    """--data and $NETCLI_DATA may be relative; what is said of them is absolute."""
    (tmp_path / "here").mkdir()
    script = 'cd "$HOME/here" && "$@"'
    for more in ({}, {"NETCLI_DATA": "store"}):
        chosen = [] if more else ["--data", "store"]
        command = ["bash", "-c", script, "bash", *PROGRAM, "nodes", *chosen]
        done = subprocess.run(command, capture_output=True, env=env | more, timeout=PATIENCE, check=False)
        assert f"{tmp_path}/here/store" in done.stderr.decode()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can name a host of its own")
def test_a_host_name_that_is_not_utf8(env: dict[str, str]) -> None:
    """Its bytes become U+FFFD in the line, and `-` in the server's id."""
    name = 'import socket, os, sys; socket.sethostname(b"b\\xfcro\\xff7"); os.execv(sys.argv[1], sys.argv[1:])'
    command = ["unshare", "--uts", sys.executable, "-c", name, *PROGRAM, "collect"]
    done = subprocess.run(command, capture_output=True, env=env, timeout=PATIENCE, check=False)
    line = json.loads(done.stdout)
    assert (0, b"", "b\ufffdro\ufffd7", "b-ro-7") == (
        done.returncode,
        done.stderr,
        line["hostname"],
        line["server_id"],
    )


@pytest.mark.parametrize("name", ["NETCLI_VERSION", "NETCLI_HELP", "NETCLI_COLLECT_HELP"])
def test_a_variable_is_no_request_for_the_version_or_help(run: Run, name: str) -> None:
    """An image of a container that says which version it holds does not change what is run."""
    code, shown, said = run("collect", **{name: "1.0.0"})
    assert (0, "", 0) == (code, said, json.loads(shown)["seq"])
    assert "netcli, version" in run("--version", **{name: "0"}).stdout


ON_A_LINK = """
set -e
ip link set lo up
ip link add d0 type veth peer name d1
ip link set d0 up
ip link set d1 up
ip -6 address add fe80::1/64 dev d0 nodad
"$@" serve --listen [::]:8477 --allow-anonymous 2> "$HOME/said" &
for address in '[fe80::1%d0]:8477' 'http://[fe80::1%25d0]:8477'; do
    "$@" send "$address" < "$HOME/lines"
done
"$@" nodes --json --from '[fe80::1%d0]:8477'
kill %1
wait %1
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a link of its own")
def test_a_peer_on_a_link(env: dict[str, str], tmp_path: Path) -> None:
    """A link-local address is written with its zone, as it is shown or as it stands in a URL; `d0`, which looks like an
    escape of a URL, is a zone like any other. No proxy is asked, which could not reach it."""
    (tmp_path / "lines").write_bytes(LINES)
    command = ["unshare", "--net", "bash", "-c", ON_A_LINK, "bash", *PROGRAM]
    proxy = {"http_proxy": "http://10.0.0.1:3128"}
    done = subprocess.run(command, capture_output=True, env=env | proxy, timeout=PATIENCE, check=False)
    told = [line for line in done.stderr.decode().splitlines() if "trying again" not in line]
    assert (0, ["web1"]) == (done.returncode, [one["name"] for one in json.loads(done.stdout)])
    assert [
        "netcli: 3 stored at http://[fe80::1%d0]:8477/api/v1/samples",
        "netcli: 0 stored, 3 already there at http://[fe80::1%25d0]:8477/api/v1/samples",
    ] == told
