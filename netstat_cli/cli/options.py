"""What several commands share: options, and where this machine keeps things."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import click

from netstat_cli.errors import UsageProblem
from netstat_cli.line.wire import is_server_id, to_server_id
from netstat_cli.render.text import printable
from netstat_cli.times import parse_duration

F = TypeVar("F", bound=Callable[..., Any])


class Duration(click.ParamType):  # type: ignore[type-arg]
    """500ms, 10s, 5m, 1h30m, 7d: milliseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Milliseconds, more than none."""
        if isinstance(value, int):
            return value
        try:
            duration = parse_duration(value)
        except UsageProblem as error:
            self.fail(f"{error.message}; {error.hint}", param, ctx)
        if duration <= 0:
            self.fail(f"{value!r} is no time at all", param, ctx)
        return duration


class ServerId(click.ParamType):  # type: ignore[type-arg]
    """The name of a server."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name, if it can be one."""
        if not is_server_id(value):
            self.fail("a server id has 1 to 100 of A-Z a-z 0-9 . _ - and begins with a letter or digit", param, ctx)
        return str(value)


DURATION = Duration()
SERVER_ID = ServerId()


def data_option(command: F) -> F:
    """--data DIR."""
    return click.option(
        "--data", metavar="DIR", help="The store. [default: $NETCLI_DATA, $STATE_DIRECTORY, else ~/.local/state/netcli]"
    )(command)


def units_options(command: F) -> F:
    """--bits | --iec."""
    command = click.option("--iec", "units", flag_value="IEC", help="Show KiB, MiB, GiB (1024).")(command)
    return click.option("--bits", "units", flag_value="BITS", help="Show kbit, Mbit, Gbit (1000).")(command)


def json_option(command: F) -> F:
    """--json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON: bytes and seconds, never scaled.")(command)


def data_dir(chosen: str | None, option: str = "--data") -> str:
    """Return the folder of the store, absolute: as chosen, by option or environment, else systemd's, else the user's
    state folder. Raises UsageProblem, which names the option to choose it with, where there is none of these."""
    if folder := chosen or os.environ.get("NETCLI_DATA") or os.environ.get("STATE_DIRECTORY", "").split(":")[0]:
        return absolute(folder)
    if os.path.isabs(base := os.environ.get("XDG_STATE_HOME", "")):
        return os.path.join(base, "netcli")
    folder = os.path.expanduser("~/.local/state/netcli")
    if not os.path.isabs(folder) or os.environ.get("HOME") == "":
        hint = f"name a folder with {option} DIR, or set $HOME"
        raise UsageProblem("there is no folder to keep things in: this user has no home", hint=hint)
    return folder


def absolute(folder: str) -> str:
    """Return a folder's path from the root, so that it means the same wherever it is used. Raises UsageProblem."""
    try:
        return os.path.abspath(folder)
    except OSError as error:
        raise UsageProblem(f"cannot tell where {folder} is: the current folder is gone") from error


def this_host() -> tuple[str, str]:
    """Return this machine's server id and host name. Bytes of it that are no UTF-8 become U+FFFD."""
    hostname = os.fsencode(platform.node()).decode(errors="replace")
    return to_server_id(hostname), hostname


def speaks_utf8() -> bool:
    """Tell whether stdout can show every glyph."""
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def terminal_width() -> int:
    """The columns of $COLUMNS, of the terminal, or 80. (shutil knows too, but imports three compressors with it.)"""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def warn(message: str) -> None:
    """Say something on stderr that is not the result; a stderr that cannot be written stops nothing."""
    with suppress(OSError, ValueError):
        click.echo(f"netcli: {printable(message)}", err=True)
