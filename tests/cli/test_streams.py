"""The standard streams, however the program is started: whole lines or an error, never half a line, never a
traceback."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from netstat_cli.cli.streams import CannotWrite, WholeWrites
from tests.cli.conftest import PATIENCE, PROGRAM, Result, Run, text_of
from tests.given import interface, sample
from tests.transport.test_client import Peer, closed_port

LINES = text_of([sample(i * 10, interface(rx=i * 1000)) for i in range(3)])
WIDE = "".join(f"  some-interface{number}: {number} 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0\n" for number in range(2000))


def shell(script: str, env: Mapping[str, str], *arguments: str) -> Result:
    """Run `script` in bash with the program and the arguments as "$@"."""
    command = ["bash", "-c", script, "bash", *PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, env=env, timeout=PATIENCE, check=False, input=b"")
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def many(tmp_path: Path) -> list[str]:
    """The arguments that sample a machine of 2,000 interfaces, half a megabyte a line, six times."""
    (tmp_path / "proc" / "net").mkdir(parents=True)
    (tmp_path / "sys").mkdir()
    (tmp_path / "proc" / "net" / "dev").write_text("|\n|\n" + WIDE)
    roots = ("--procfs", str(tmp_path / "proc"), "--sysfs", str(tmp_path / "sys"))
    return ["collect", *roots, "--interval", "0.01", "--count", "6"]


def slowly(descriptor: int, text: bytearray) -> None:
    """Read to the end, no more than a page at a time."""
    while some := os.read(descriptor, 4096):
        text += some


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("blocking", [True, False])
def test_each_line_is_whole(env: dict[str, str], many: list[str], unbuffered: str, blocking: bool) -> None:
    """A pipe that takes a line in many parts, or does not block (O_NONBLOCK), gets all of each line."""
    reading, writing = os.pipe()
    os.set_blocking(writing, blocking)
    text = bytearray()
    reader = threading.Thread(target=slowly, args=(reading, text))
    with subprocess.Popen([*PROGRAM, *many], stdout=writing, env=env | {"PYTHONUNBUFFERED": unbuffered}) as process:
        os.close(writing)
        reader.start()
        assert 0 == process.wait(PATIENCE)
    reader.join()
    os.close(reading)
    assert list(range(6)) == [json.loads(line)["seq"] for line in text.splitlines()]


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_text_is_whole_too(env: dict[str, str], run: Run, many: list[str], unbuffered: str) -> None:
    """A table that is longer than what a pipe takes at once arrives to its last line."""
    lines = Path(env["HOME"]) / "lines"
    lines.write_text(run(*many, "--iface", "some-interface1[0-4]?").stdout)
    whole = run("spark", "--plain", "--width", "60", lines).stdout
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    text = bytearray()
    reader = threading.Thread(target=slowly, args=(reading, text))
    command = [*PROGRAM, "spark", "--plain", "--width", "60", str(lines)]
    with subprocess.Popen(command, stdout=writing, env=env | {"PYTHONUNBUFFERED": unbuffered}) as process:
        os.close(writing)
        reader.start()
        assert 0 == process.wait(PATIENCE)
    reader.join()
    os.close(reading)
    assert (whole, 100) == (text.decode(), text.count(b"\n"))


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_disk_that_is_full_in_the_middle_of_a_line(
    env: dict[str, str], many: list[str], tmp_path: Path, unbuffered: str
) -> None:
    """A short write (here at a limit of the file's size) is followed by the error that stops it, and exit code 1."""
    script = f'trap "" XFSZ; ulimit -f 700; exec "$@" > {tmp_path}/lines'
    result = shell(script, env | {"PYTHONUNBUFFERED": unbuffered}, *many)
    assert (1, "", "netcli: cannot write to standard output: File too large\n") == result


@pytest.mark.parametrize(
    "arguments", [["collect"], ["--help"], ["--version"], ["spark", "-"], ["store", "info"], ["nodes", "--help"]]
)
def test_a_full_disk_behind_stdout(env: dict[str, str], run: Run, arguments: list[str]) -> None:
    """Whatever is shown, that it could not be is told and exit code 1."""
    run("collect", "--store", "--server-id", "web1")
    command = 'printf "%s" "$LINES_OF" | "$@" > /dev/full'
    result = shell(command, env | {"LINES_OF": LINES.decode()}, *arguments)
    assert (1, "", "netcli: cannot write to standard output: No space left on device\n") == result


@pytest.mark.parametrize("arguments", [["collect"], ["--help"], ["--version"], ["serve", "--help"]])
def test_a_closed_stdout_is_an_error_for_who_has_something_to_show(env: dict[str, str], arguments: list[str]) -> None:
    """As with cat(1): nothing is lost in silence."""
    result = shell('"$@" >&-', env, *arguments)
    assert (1, "", "netcli: cannot write to standard output: Bad file descriptor\n") == result


def test_a_closed_stdout_is_nothing_to_who_shows_nothing(env: dict[str, str], data: Path) -> None:
    """Samples go to the store, and no file of it gets stdout's number."""
    assert (0, "", "") == shell('"$@" >&-', env, "collect", "--store", "--server-id", "web1")
    (path,) = (data / "web1").iterdir()
    assert "web1" == json.loads(path.read_text())["server_id"]


def test_a_closed_stdin_is_told(env: dict[str, str]) -> None:
    """Who wants to read it is told so, and a file is not taken for it."""
    with Peer() as peer:
        result = shell('"$@" <&-', env, "send", peer.url)
        told = "netcli: cannot read standard input: Bad file descriptor\n"
        assert (1, "", f"{told}netcli: 0 stored at {peer.url}/api/v1/samples\n") == result
        assert [] == peer.received
    result = shell('"$@" <&-', env, "spark", "-")
    assert (1, True) == (result.returncode, "Bad file descriptor" in result.stderr)


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2> >(exec true)", "<&- >&- 2>&-"])
def test_messages_that_nobody_takes_stop_nothing(env: dict[str, str], data: Path, redirection: str) -> None:
    """A stderr that is closed, full or without a reader ends no sampling, and changes no exit code."""
    script = f'"$@" {redirection}'
    odd = ["--iface", "no-such-interface"]
    assert (0, "") == shell(script, env, "collect", "--store", "--server-id", "web1", *odd)[:2]
    (path,) = (data / "web1").iterdir()
    assert 0 == json.loads(path.read_text())["seq"]
    assert 2 == shell(script, env, "no-such-command").returncode
    assert 1 == shell(script, env, "spark", "--from", f"127.0.0.1:{closed_port()}").returncode


@pytest.mark.parametrize("arguments", [["spark"], ["nodes"], ["store", "info"], ["report"], ["--help"]])
@pytest.mark.parametrize(
    "locale",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "no_SUCH.locale"},
        {"LC_ALL": "POSIX"},
    ],
    ids=["latin-1", "ascii", "unknown", "posix"],
)
def test_a_locale_that_is_not_utf8(
    run: Run, env: dict[str, str], locale: dict[str, str], arguments: list[str], tmp_path: Path
) -> None:
    """What it has no glyph for is drawn in ASCII or spelled out."""
    (tmp_path / "lines").write_bytes(text_of([sample(i, interface("häß\U0001f4a9", rx=i)) for i in range(3)]))
    assert 0 == run("store", "import", tmp_path / "lines").returncode
    done = subprocess.run([*PROGRAM, *arguments], capture_output=True, env=env | locale, check=False, timeout=PATIENCE)
    assert (b"", True) == (b"Traceback" if b"Traceback" in done.stderr else b"", done.returncode in (0, 1))


def test_a_terminal_gets_each_line_at_once(env: dict[str, str]) -> None:
    """What is shown on a terminal is shown, though nothing else follows."""
    master, slave = pty.openpty()
    command = [*PROGRAM, "collect", "--interval", "0.05"]
    with subprocess.Popen(command, stdout=slave, env=env) as process:
        os.close(slave)
        assert b'{"timestamp"' == os.read(master, 12)
        process.kill()
    os.close(master)


def test_a_write_is_whole_or_raises(tmp_path: Path) -> None:
    """The size of what was given is what was written; a failure is an error, unless nobody is to hear of it."""
    with (tmp_path / "file").open("wb") as file:
        assert 3 == WholeWrites(file.fileno(), silent=False).write(b"abc")
    assert b"abc" == (tmp_path / "file").read_bytes()
    with Path("/dev/full").open("wb") as full:
        with pytest.raises(CannotWrite):
            WholeWrites(full.fileno(), silent=False).write(b"abc")
        assert 3 == WholeWrites(full.fileno(), silent=True).write(b"abc")
