"""netcli demo"""

from __future__ import annotations

import tempfile
import threading

import click

from netstat_cli.cli import netcli
from netstat_cli.cli.delivery import Delivery
from netstat_cli.cli.options import this_host, warn
from netstat_cli.collector.live import Live
from netstat_cli.collector.routes import Collector
from netstat_cli.collector.server import Address, Server, serve_in_thread
from netstat_cli.sources import open_source
from netstat_cli.sources.sampler import Sampler, Selection, ticks
from netstat_cli.status import Thresholds
from netstat_cli.store.layout import days
from netstat_cli.store.writer import Writer
from netstat_cli.times import now
from netstat_cli.transport.client import Client

INTERVAL = 0.2
SAMPLES = 26  # five seconds, and one more to see what the last tick brought

FOR_REAL = """\
For real, on one machine:

  netcli collect --interval 10s --store &
  netcli spark --last 1h

For real, on many:

  openssl rand -hex 32 > token                                              (once; copy it to each machine)
  netcli serve --listen 0.0.0.0:8477 --token-file token                     (on the collector)
  netcli collect --interval 10s --send http://HOST:8477 --token-file token  (on each machine)
  netcli nodes                                                              (on the collector)"""


@click.command("demo", short_help="Try it, in five seconds.")
def command() -> None:
    """Try it: start a collector on a free loopback port, sample this machine's interfaces for five seconds, deliver the
    samples over HTTP, and show what the store then holds. Nothing in it is canned."""
    data = tempfile.mkdtemp(prefix="netcli-demo-")
    server_id, hostname = this_host()
    with Writer(data, "netcli demo", warn) as writer:
        collector = Collector(data, writer, Live(writer.latest, now()), Thresholds())
        server = Server(Address("127.0.0.1", 0), collector)
        finish = serve_in_thread(server)
        click.echo(f"collector  {server.url}, storing in {data}")
        click.echo(f"samples    {SAMPLES} of this machine's interfaces, one each {INTERVAL}s, sent over HTTP …")
        sampler = Sampler(
            open_source("auto", "/proc", "/sys", warn), Selection(loopback=True), server_id, hostname, INTERVAL
        )
        never = threading.Event()
        client = Client(server.url)
        with Delivery(client, f"{data}/.spool", "16MB", drop_oldest=False, wait=True) as delivery:
            for _ in ticks(INTERVAL, SAMPLES, lambda left: not never.wait(left)):
                delivery.put(sampler.take())
        finish()
    for name in ("nodes", "spark"):
        click.echo(f"\n$ netcli {name} --data {data}\n")
        netcli.main([name, "--data", data], standalone_mode=False)
    files = ", ".join(filter(None, (day.plain for day in days(data, server_id))))
    click.echo(
        f"\nThe lines are in {files}\nRead them with jq, grep or the commands above; remove the folder when done.\n"
    )
    click.echo(FOR_REAL)
