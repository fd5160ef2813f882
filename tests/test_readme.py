"""README.md tells the truth: its reference is the program's own help, its commands are those that are tested."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from netstat_cli.cli import COMMANDS, netcli
from netstat_cli.line.model import Interface, Sample, fields

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


STORE = [f"store {name}" for name in ("info", "verify", "compact", "prune", "import")]


def help_text(command: str) -> str:
    """What `netcli COMMAND --help` prints on a terminal of 80 columns."""
    answer = CliRunner().invoke(netcli, [*command.split(), "--help"], prog_name="netcli", terminal_width=80)
    assert answer.exit_code == 0
    return answer.output


@pytest.mark.parametrize("command", [*COMMANDS, *STORE])
def test_the_reference_is_the_help(command: str) -> None:
    """Every command stands in the reference with its --help, word for word."""
    section = re.search(rf"^### netcli {command}\n\n```\n(.*?)```\n", README, re.DOTALL | re.MULTILINE)
    assert section is not None
    assert section[1] == help_text(command)


def test_the_help_of_a_command_begins_as_the_list_of_commands_says() -> None:
    """The list in `netcli --help` is written by hand, so that it needs no imports: it names all."""
    listed = CliRunner().invoke(netcli, ["--help"], terminal_width=200).output
    for command, summary in COMMANDS.items():
        assert re.search(rf"^  {command} +{re.escape(summary)}$", listed, re.MULTILINE)


def test_the_readme_has_one_command_to_try_and_one_to_test() -> None:
    """Both begin on a fresh machine with a virtual environment of their own."""
    commands = re.findall(r"^\$ (python3 -m venv .*)$", README, re.MULTILINE)
    assert commands == [
        "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/netcli demo",
        "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/python -m pytest",
    ]


def test_every_field_of_the_line_is_listed() -> None:
    """The tables of fields are those of the model."""
    for model in (Sample, Interface):
        for field in fields(model):
            if field.name != "network_interfaces":
                name = f"`{field.name}`" + ("" if field.required else " (optional)")
                unit = f" In {field.unit}." if field.unit else ""
                assert f"| {name} | {field.meaning}{unit} | {field.source} |\n" in README
