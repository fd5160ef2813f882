"""The group: help, version, and what every command shares."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from netstat_cli import __version__
from netstat_cli.cli import COMMANDS
from tests.cli.conftest import PATIENCE, PROGRAM, Run

HELP = """\
Usage: netcli [OPTIONS] COMMAND [ARGS]...

  Network-interface counters: read, sent, collected as JSON lines, drawn as text sparklines.

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
{commands}

  Start with `netcli demo`. Data goes to stdout, messages to stderr; every command has its own
  --help.
"""


def test_help_is_the_list_of_commands(run: Run) -> None:
    """--help and -h show every command with its sentence, in the order in which one meets them."""
    longest = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:<{longest}}  {what}" for name, what in COMMANDS.items())
    expected = HELP.format(commands=listed)
    assert (0, expected, "") == run("--help", COLUMNS="100")
    assert (0, expected, "") == run("-h", COLUMNS="100")


def test_the_console_script_is_the_module(env: dict[str, str]) -> None:
    """`netcli` and `python -m netstat_cli` are the same program."""
    script = Path(sys.executable).with_name("netcli")
    if not script.exists():
        pytest.skip("netcli is not installed beside this Python")
    said = [
        subprocess.run([*command, "--version"], capture_output=True, env=env, text=True, check=True).stdout
        for command in ((str(script),), PROGRAM)
    ]
    assert [f"netcli, version {__version__}\n"] * 2 == said


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_own_help(run: Run, command: str) -> None:
    """Usage, what it does, and every option explained."""
    code, shown, said = run(command, "--help")
    assert (0, "", True) == (code, said, shown.startswith(f"Usage: netcli {command} [OPTIONS]"))
    assert "  -h, --help " in shown


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [(["frobnicate"], "command"), (["--frobnicate"], "option"), (["spark", "--frobnicate"], "option")],
)
def test_wrong_usage(run: Run, arguments: list[str], kind: str) -> None:
    """What is not there is exit code 2, and where help is."""
    code, shown, stderr = run(*arguments)
    assert (2, "") == (code, shown)
    assert re.search(rf"^Error: No such {kind}:? '?(--)?frobnicate'?", stderr, re.MULTILINE), "click's own words differ"
    assert "--help' for help." in stderr


@pytest.mark.parametrize("arguments", ["--help", "--version", "spark --help", "nodes --json", "nodes"])
def test_a_reader_that_is_gone_is_no_error(run: Run, env: dict[str, str], arguments: str) -> None:
    """Whatever is shown, a closed pipe ends it with 0 and without a word."""
    run("collect", "--store")
    pipeline = '{ read -r _ <&3; "$@"; echo "code $?" >&2; } 3< <(sleep 0.2; echo) | true'
    waits = ["bash", "-c", pipeline, "bash", *PROGRAM, *arguments.split()]
    done = subprocess.run(waits, capture_output=True, env=env, text=True, timeout=PATIENCE, check=False)
    assert ("code 0\n", "") == (done.stderr, done.stdout)


def test_an_error_of_the_system_is_one_sentence(run: Run, env: dict[str, str]) -> None:
    """A full disk behind stdout is told and exit code 1, without a traceback."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*PROGRAM, "collect"], stdout=full, stderr=subprocess.PIPE, env=env, text=True, check=False
        )
    assert (1, "netcli: cannot write to standard output: No space left on device\n") == (done.returncode, done.stderr)
