"""The `netcli` command: the group, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from netstat_cli import __version__
from netstat_cli.cli import streams
from netstat_cli.errors import EXIT_FAILED, EXIT_INTERRUPTED, NetcliError

EXIT_TERMINATED = 143  # 128 + SIGTERM

COMMANDS = {
    "collect": "Read this machine's interface counters, one JSON line a sample.",
    "send": "Deliver sample lines to a collector.",
    "serve": "Run the collector: an HTTP server that stores JSON lines.",
    "spark": "Draw sparklines of the traffic of interfaces.",
    "report": "Totals per hour, day or month; quota and 95th percentile.",
    "nodes": "Show all nodes, or the interfaces of one.",
    "store": "Look after the store: info, verify, compact, prune, import.",
    "demo": "Try it: collect, send, serve and spark on this machine, in five seconds.",
}


class Commands(click.Group):
    """Imports a command when it is called: starting is a feature."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them, in the order in which one meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"netstat_cli.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `netcli --help`, without importing what it lists."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> click.Context:
        """Reads the command line; `--help` is answered here."""
        with _reader_may_leave():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        ctx.color = _wants_color()
        with _reader_may_leave():
            result = super().invoke(ctx)
            sys.stdout.flush()
        return result


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """A reader that goes away (`| head`) is not an error."""
    try:
        yield
    except BrokenPipeError:
        streams.abandon_stdout()
        raise click.exceptions.Exit(0) from None


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["--help", "-h"], "auto_envvar_prefix": "NETCLI", "max_content_width": 100},
    epilog="Start with `netcli demo`. Data goes to stdout, messages to stderr; every command has its own --help.",
)
@click.version_option(__version__, prog_name="netcli")
def netcli() -> None:
    """Network-interface counters: read, sent, collected as JSON lines, drawn as text sparklines."""


def main() -> None:
    """The console script."""
    streams.take_over()
    _forget_flags_of_the_environment()
    if os.getpid() == 1 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _end)  # the kernel keeps it from a process 1 that does not ask for it
    sys.exit(_run())


def _run() -> int:
    try:
        result = netcli.main(standalone_mode=False, prog_name="netcli")
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except streams.CannotWrite as error:
        streams.abandon_stdout()
        _say(error.message, error.hint)
        return error.exit_code
    except NetcliError as error:
        _say(error.message, error.hint)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except OSError as error:
        _say(f"{error.filename}: {error.strerror}" if error.filename else f"{error.strerror or error}", None)
        return EXIT_FAILED
    return result if isinstance(result, int) else 0


def _forget_flags_of_the_environment() -> None:
    """Drop $NETCLI_VERSION, $NETCLI_HELP, $NETCLI_SEND_HELP: an option that answers and ends is for the command line,
    and a variable of that name says something else, as in an image of a container."""
    for name in [name for name in os.environ if name.startswith("NETCLI_") and name.endswith(("_HELP", "_VERSION"))]:
        del os.environ[name]


def _end(*_: object) -> None:
    sys.exit(EXIT_TERMINATED)


def _wants_color() -> bool | None:
    """$NO_COLOR and $FORCE_COLOR (no-color.org); None lets the terminal decide."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def _say(message: str, hint: str | None) -> None:
    from netstat_cli.render.text import printable

    with suppress(OSError, ValueError):  # the exit code says it too
        click.echo(f"netcli: {printable(message)}" + (f"\n  {printable(hint)}" if hint else ""), err=True)
