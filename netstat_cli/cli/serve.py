"""netcli serve"""

from __future__ import annotations

import gc
import resource
import signal
import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import click

from netstat_cli.cli.options import DURATION, data_dir, data_option, warn
from netstat_cli.cli.peer import read_tokens, systemd_credential
from netstat_cli.cli.store import THINNING
from netstat_cli.collector.access import Access, Tokens, is_loopback
from netstat_cli.collector.live import OFFLINE_AFTER, WARNING_AFTER, Live, Thresholds
from netstat_cli.collector.routes import Collector
from netstat_cli.collector.server import Address, Server, serve_in_thread
from netstat_cli.errors import NetcliError, UsageProblem
from netstat_cli.store.upkeep import Policy, Thinning, carry_out, plan, prune
from netstat_cli.store.writer import Writer
from netstat_cli.times import now

DEFAULT_LISTEN = "127.0.0.1:8477"
UPKEEP_EVERY, UPKEEP_PAUSE = 60.0, 0.01
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
@click.option("--warning-after", type=DURATION, default=WARNING_AFTER, help="Silence until `warning`. [default: 1m]")
@click.option("--offline-after", type=DURATION, default=OFFLINE_AFTER, help="Silence until `offline`. [default: 2m]")
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
    warning_after: int,
    offline_after: int,
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
    _allow_many_files()
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(*COLLECT_AFTER)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    folder = data_dir(data)
    with Writer(folder, "netcli serve", warn) as writer:
        live = Live(writer.latest, now())
        collector = Collector(folder, writer, live, Thresholds(warning_after, offline_after))
        server = Server(listen, collector, warn, access, tls)
        finish = serve_in_thread(server)
        click.echo(f"netcli: listening on {server.url}, storing in {folder}", err=True)
        upkeep = threading.Thread(target=_keep_up, args=(folder, Policy(keep, thin), writer, stop), name="upkeep")
        upkeep.start()
        stop.wait()
        finish()
        upkeep.join()
    click.echo("netcli: stopped; everything that was accepted is stored", err=True)


def _access(listen: Address, token_file: str | None, allow_anonymous: bool) -> Access:
    """Who may talk to this collector. Raises UsageError where anybody on the network could."""
    path = token_file or systemd_credential("token")
    local = is_loopback(listen.host)
    if path is None and not local and not allow_anonymous:
        message = f"{listen.host} can be reached by others, and no token is asked of them"
        raise click.UsageError(f"{message}: give --token-file FILE (or --allow-anonymous, if that is meant)")
    return Access(Tokens(path, read_tokens, warn) if path is not None else None, local)


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


def _allow_many_files() -> None:
    """As many open files as the system lets this user have: a connection is one, and so is a day that is written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 16_384)), hard))


def _keep_up(folder: str, policy: Policy, writer: Writer, stop: threading.Event) -> None:
    """Looks after the store in the background, a little at a time, so that it holds up nobody who sends."""

    def pause() -> None:
        if stop.wait(UPKEEP_PAUSE):
            raise _Stopped

    def attempt(task: Callable[[], object], what: str) -> None:
        try:
            task()
        except (OSError, ValueError, NetcliError) as error:
            if told.get(what) != str(error):
                warn(f"cannot look after {what}: {error}")
            told[what] = str(error)

    told: dict[str, str] = {}
    while not stop.wait(UPKEEP_EVERY):
        try:
            attempt(lambda: prune(folder, policy, now()), folder)
            for work in plan(folder, policy, now()):
                attempt(partial(carry_out, folder, work, writer, warn, pause), f"{work.server_id} {work.files.day}")
        except _Stopped:
            return


class _Stopped(Exception):
    """The collector ends; what is half rewritten is left for the next one."""
