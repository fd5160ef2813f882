"""netcli collect"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack

import click

from netstat_cli.cli.options import DURATION, SERVER_ID, absolute, data_dir, data_option, this_host, warn
from netstat_cli.cli.peer import Credentials, peer_options
from netstat_cli.cli.signals import Stop, stop_when_terminated
from netstat_cli.errors import StoreError
from netstat_cli.line.model import Sample
from netstat_cli.line.wire import decode, encode
from netstat_cli.sources import open_source
from netstat_cli.sources.sampler import Sampler, Selection, ticks
from netstat_cli.times import SECOND

SHORTEST_INTERVAL = 10
Sink = Callable[[Sample], None]


@click.command("collect", short_help="Read this machine's interface counters.")
@click.option("--iface", "include", multiple=True, metavar="GLOB", help="Only these interfaces. May be repeated.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Not these interfaces. May be repeated.")
@click.option("--all", "loopback", is_flag=True, help="Loopback too.")
@click.option("--interval", type=DURATION, help="Take a sample every so often: 10s, 500ms, 1m.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many samples. [default: 1, or no end]")
@click.option("--server-id", type=SERVER_ID, help="The name of this machine in the store. [default: its host name]")
@click.option("--source", type=click.Choice(["auto", "procfs", "psutil"]), default="auto", show_default=True)
@click.option("--procfs", metavar="PATH", default="/proc", envvar=["NETCLI_PROCFS", "HOST_PROC"], show_default=True)
@click.option("--sysfs", metavar="PATH", default="/sys", envvar=["NETCLI_SYSFS", "HOST_SYS"], show_default=True)
@click.option("--send", "peer", metavar="URL", help="Deliver to a collector instead of printing.")
@click.option("--store", is_flag=True, help="Append to the local store instead of printing: no server needed.")
@click.option("--spool", metavar="DIR", help="With --send: where samples wait. [default: in the state folder]")
@click.option("--spool-max", metavar="SIZE", default="256MB", show_default=True, help="How large it may become.")
@click.option("--spool-full", type=click.Choice(["block", "drop-oldest"]), default="block", show_default=True)
@peer_options
@data_option
def command(
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    loopback: bool,
    interval: int | None,
    count: int | None,
    server_id: str | None,
    source: str,
    procfs: str,
    sysfs: str,
    peer: str | None,
    store: bool,
    spool: str | None,
    spool_max: str,
    spool_full: str,
    data: str | None,
    credentials: Credentials,
) -> None:
    """Read this machine's interface counters and print one JSON line a sample.

    Every interface but loopback is in it, up or down. Without --interval it is one sample.

    \b
      netcli collect | jq '.network_interfaces[].name'
      netcli collect --interval 10s | netcli send http://collector:8477
      netcli collect --interval 10s --store
    """
    if peer and store:
        raise click.UsageError("--send and --store are two places; choose one")
    if data and not store:
        raise click.UsageError("--data names the store; it goes with --store")
    if interval is not None and interval < SHORTEST_INTERVAL:
        raise click.UsageError(f"--interval must be at least {SHORTEST_INTERVAL}ms")
    own_id, hostname = this_host()
    seconds = interval / SECOND if interval is not None else None
    sampler = Sampler(
        open_source(source, procfs, sysfs, warn),
        Selection(include, exclude, loopback),
        server_id or own_id,
        hostname,
        seconds,
    )
    stopped = stop_when_terminated()
    with ExitStack() as stack:
        if store:
            sink = _store(stack, data_dir(data))
        elif peer:
            sink = _send(stack, peer, credentials, spool, spool_max, spool_full == "drop-oldest", stopped)
        else:
            sink = _print
        for number in ticks(seconds or 1.0, count if seconds else count or 1, lambda left: not stopped.wait(left)):
            sample = sampler.take()
            if number == 0 and not sample.interfaces and include:
                warn(f"no interface is named {', '.join(include)} now")
            sink(sample)


def _print(sample: Sample) -> None:
    sys.stdout.buffer.write(encode(sample) + b"\n")
    sys.stdout.buffer.flush()


def _store(stack: ExitStack, data: str) -> Sink:
    from netstat_cli.store.writer import Writer

    writer = stack.enter_context(Writer(data, "netcli collect --store", warn))
    sink = KeepSampling(lambda sample: writer.append([decode(encode(sample))]))  # the one way in
    stack.callback(sink.end)
    return sink


class KeepSampling:
    """A sink that outlives trouble of its disk: the counters go on, so the next sample that fits bridges the hole."""

    def __init__(self, sink: Callable[[Sample], object]) -> None:
        self._sink = sink
        self._missing = 0
        self._error: StoreError | None = None

    def __call__(self, sample: Sample) -> None:
        """Hand on the sample; what goes wrong is told when it begins and when it is over."""
        try:
            self._sink(sample)
        except StoreError as error:
            if self._error is None:
                warn(f"{error.message}; sampling goes on, and the next sample that can be stored bridges the hole")
            self._error = error
            self._missing += 1
        else:
            if self._error is not None:
                warn(f"samples are stored again; {self._missing} are missing, their traffic is not")
            self._error, self._missing = None, 0

    def end(self) -> None:
        """Raise what kept the last samples from being stored."""
        if self._error is not None and sys.exception() is None:
            raise self._error


def _send(
    stack: ExitStack,
    peer: str,
    credentials: Credentials,
    folder: str | None,
    most: str,
    drop_oldest: bool,
    stopped: Stop,
) -> Sink:
    from netstat_cli.cli.delivery import Delivery, spool_folder, spools_left_behind
    from netstat_cli.transport.client import Client

    client = Client(peer, credentials.session(peer))
    chosen = absolute(folder) if folder else spool_folder()
    left_behind = [] if folder else spools_left_behind(chosen)
    delivery = Delivery(client, chosen, most, drop_oldest, stopped=stopped, goes_on=True, left_behind=left_behind)
    return stack.enter_context(delivery).put
