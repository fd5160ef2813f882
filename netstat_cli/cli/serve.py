"""netcli serve: the collector as a process.

The main thread waits for the end: a signal, or a thread that cannot go on. The threads are the collector's own
(collector/server.py) and `maintenance`, which looks after the store. None of them may end by itself and leave a process
behind that only seems to run: whatever ends one ends the process, with a message and exit code 1.
"""

from __future__ import annotations

import gc
import logging
import resource
import signal
import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import click

from netstat_cli.cli import logs
from netstat_cli.cli.options import DURATION, data_dir, data_option
from netstat_cli.cli.peer import read_tokens, systemd_credential
from netstat_cli.cli.store import THINNING
from netstat_cli.collector.acceptor import Limits
from netstat_cli.collector.access import Access, Tokens, is_loopback
from netstat_cli.collector.live import Live
from netstat_cli.collector.routes import Collector
from netstat_cli.collector.server import Address, Server, serve_in_thread
from netstat_cli.errors import NetcliError, UsageProblem
from netstat_cli.status import Thresholds
from netstat_cli.store.appending import OPEN_FILES
from netstat_cli.store.upkeep import Policy, Thinning, carry_out, plan, prune
from netstat_cli.store.writer import Writer
from netstat_cli.times import now

DEFAULT_LISTEN = "127.0.0.1:8477"
LOG = logging.getLogger(__name__)
T = TypeVar("T")
MAINTENANCE_S, PAUSE_S = 60.0, 0.01
OTHER_FILES = 64
"""Descriptors for what is neither a connection nor a day that is written: questions, maintenance, the process."""
MIN_CONNECTIONS = 16
COLLECT_AFTER = 20_000, 50, 100
"""What a request makes is gone with its answer, without the search for cycles; a batch is many objects at a time."""
SWITCH_SECONDS = 0.0005  # a tenth of Python's own: who sends does not wait for the thread that looks after the store


class ListenAddress(click.ParamType):  # type: ignore[type-arg]
    """HOST:PORT, [IPV6]:PORT, :PORT or PORT."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        """The address."""
        if isinstance(value, Address):
            return value
        host, _, port = value.rpartition(":")
        if not port.isdecimal() or int(port) > 65535:
            self.fail(f"{value!r} is not an address; write for example {DEFAULT_LISTEN} or [::1]:8477", param, ctx)
        return Address(host.strip("[]") or "127.0.0.1", int(port))


@click.command("serve", short_help="Run the collector.")
@click.option("--listen", type=ListenAddress(), default=DEFAULT_LISTEN, show_default=True, help="Port 0: a free one.")
@click.option("--token-file", metavar="FILE", help="Take only requests with one of its tokens (one a line).")
@click.option("--allow-anonymous", is_flag=True, help="Let others than this machine in without a token.")
@click.option("--tls-cert", metavar="FILE", help="Speak TLS, with this certificate.")
@click.option("--tls-key", metavar="FILE", help="The key of --tls-cert.")
@click.option("--client-ca", metavar="FILE", help="Take only clients with a certificate of this authority.")
@click.option(
    "--warning-after",
    type=DURATION,
    help="Report a node as `warning` after this long. [default: 3 intervals, 1m at least]",
)
@click.option(
    "--offline-after",
    type=DURATION,
    help="Report a node as `offline` after this long. [default: 6 intervals, 2m at least]",
)
@click.option("--keep", type=DURATION, help="Delete days older than this: 400d. [default: keep all]")
@click.option("--thin", type=THINNING, help="90d:1m keeps one sample a minute of days older than 90 days.")
@data_option
def command(
    listen: Address,
    token_file: str | None,
    allow_anonymous: bool,
    tls_cert: str | None,
    tls_key: str | None,
    client_ca: str | None,
    warning_after: int | None,
    offline_after: int | None,
    keep: int | None,
    thin: Thinning | None,
    data: str | None,
) -> None:
    """Run the collector: take samples over HTTP, store them as JSON lines, answer what dashboards ask.

    A sample is answered for when it is on disk. The routes are described at /openapi.json.

    \b
      netcli serve
      curl -s http://127.0.0.1:8477/api/nodes | jq
    """
    access = _access(listen, token_file, allow_anonymous)
    tls = _tls(tls_cert, tls_key, client_ca)
    messages = logs.to_stderr()
    files = _allow_many_files()
    limits = Limits(max_connections=_connections_within(files))
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(*COLLECT_AFTER)
    end = End()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.come())
    folder = data_dir(data)
    with Writer(folder, "netcli serve", _warn) as writer:
        live = Live(writer.latest, now())
        collector = Collector(folder, writer, live, Thresholds(warning_after, offline_after))
        server = Server(listen, collector, access, tls, limits)
        finish = _start(lambda: serve_in_thread(server, end.fail))
        most = f"up to {limits.max_connections} connections ({files} open files)"
        LOG.info("listening on %s, storing in %s, %s", server.url, folder, most)
        task = partial(_maintain, folder, Policy(keep, thin), writer, end, messages)
        maintenance = threading.Thread(target=end.guard(task), name="maintenance", daemon=True)
        _start(maintenance.start)
        end.wait()
        finish()
        maintenance.join()
    if end.error is not None:
        raise NetcliError(f"the collector ended because it cannot go on: {end.error!r}")
    LOG.info("stopped; everything that was accepted is stored")


class End:
    """When the process ends, and why: it was told to, or one of its threads cannot go on. Called from any thread."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.error: BaseException | None = None

    def come(self) -> None:
        """Have the process end in order."""
        self._event.set()

    def fail(self, error: BaseException) -> None:
        """Have the process end because a thread has ended with this error."""
        self.error = error
        self._event.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Return at the end, or after so long; True at the end."""
        return self._event.wait(timeout_s)

    def guard(self, task: Callable[[], None]) -> Callable[[], None]:
        """The task as a thread's target: an error that ends it ends the process."""

        def run() -> None:
            try:
                task()
            except BaseException as error:  # noqa: BLE001  a thread has nobody else to raise it to
                self.fail(error)

        return run


def _start(start: Callable[[], T]) -> T:
    """Start a thread. Raises NetcliError where the system has none."""
    try:
        return start()
    except RuntimeError as error:
        hint = "the limit of processes is reached (`ulimit -u`, TasksMax=, pids.max), or memory is"
        raise NetcliError(f"cannot start a thread: {error}", hint=hint) from error


def _warn(message: str) -> None:
    """What the store has to tell."""
    LOG.warning("%s", message)


def _access(listen: Address, token_file: str | None, allow_anonymous: bool) -> Access:
    """Who may talk to this collector. Raises UsageError where anybody on the network could."""
    path = token_file or systemd_credential("token")
    local = is_loopback(listen.host)
    if path is None and not local and not allow_anonymous:
        message = f"{listen.host} can be reached by others, and no token is asked of them"
        raise click.UsageError(f"{message}: give --token-file FILE (or --allow-anonymous, if that is meant)")
    return Access(Tokens(path, read_tokens) if path is not None else None, local)


def _tls(certificate: str | None, key: str | None, client_ca: str | None) -> ssl.SSLContext | None:
    if certificate is None:
        if key or client_ca:
            raise click.UsageError("--tls-key and --client-ca go with --tls-cert")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise UsageProblem(f"cannot use the certificates: {error}") from error
    return context


def _allow_many_files() -> int:
    """Have as many open files as the system lets this user have; how many that are. A connection is one, and so is a
    day that is written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return hard
    return soft


def _connections_within(files: int) -> int:
    """How many connections there may be within so many open files: what the store and the rest do not need."""
    return max(MIN_CONNECTIONS, min(Limits().max_connections, files - min(OPEN_FILES, files // 2) - OTHER_FILES))


def _maintain(folder: str, policy: Policy, writer: Writer, end: End, messages: logs.StderrHandler) -> None:
    """Look after the store, a little at a time, so that it holds up nobody who sends. What goes wrong with a server or
    a day is told and tried again at the next round."""

    def pause() -> None:
        if end.wait(PAUSE_S):
            raise _Stopped

    def attempt(task: Callable[[], object], what: str) -> None:
        try:
            task()
        except (OSError, ValueError, NetcliError) as error:
            if told.get(what) != str(error):
                _warn(f"cannot look after {what}: {error}")
            told[what] = str(error)

    def round_of_work() -> None:
        attempt(lambda: prune(folder, policy, now()), folder)
        for work in plan(folder, policy, now()):
            attempt(partial(carry_out, folder, work, writer, _warn, pause), f"{work.server_id} {work.files.day}")

    told: dict[str, str] = {}
    with suppress(_Stopped):
        while not end.wait(MAINTENANCE_S):
            messages.flush()
            attempt(round_of_work, "the store")


class _Stopped(Exception):
    """The collector ends; what is half rewritten is left for the next one."""
