"""netcli nodes"""

from __future__ import annotations

import json
from inspect import signature
from typing import Any, NamedTuple

import click
import tabulate
from msgspec.structs import asdict

from netstat_cli.cli.options import SERVER_ID, data_option, json_option, speaks_utf8
from netstat_cli.cli.peer import Credentials, from_option
from netstat_cli.cli.reading import open_reader
from netstat_cli.line.model import Interface, Sample
from netstat_cli.line.topology import kind_of, role_in_total, uplinks
from netstat_cli.reader import Newest, Reader
from netstat_cli.render.spark import sparkline
from netstat_cli.render.text import printable
from netstat_cli.render.units import Units, format_amount, format_megabytes
from netstat_cli.status import ago
from netstat_cli.times import HOUR, format_duration, format_timestamp, now
from netstat_cli.traffic.series import Series, equal_edges

SPARK_WIDTH = 20


class Node(NamedTuple):
    """A server with its newest sample and what it carried in the last hour."""

    sample: Sample
    status: str
    silence: int
    ahead: int
    hour: Series


@click.command("nodes", short_help="Show all nodes, or the interfaces of one.")
@click.argument("node", type=SERVER_ID, required=False)
@json_option
@from_option
@data_option
def command(node: str | None, as_json: bool, peer: str | None, data: str | None, credentials: Credentials) -> None:
    """Show every node with its status, rates and last hour; or the interfaces of one NODE, and which of them count.

    A node is online while its last sample is less than three of its intervals old (at least a minute), offline after
    six.

    \b
      netcli nodes
      netcli nodes web1
    """
    reader = open_reader(data, node, peer, credentials)
    at = now()
    if node is not None:
        for sample in reader.latest():
            show_interfaces(reader, sample, at, as_json)
        return
    nodes = [_node(reader, newest, at) for newest in reader.newest(at)]
    if as_json:
        click.echo(json.dumps([_node_json(one, at) for one in nodes], indent=2))
        return
    click.echo(nodes_table(nodes))
    click.echo()
    click.echo(totals_line(nodes))
    for one in nodes:
        if one.ahead:
            click.echo(
                f"{one.sample.server_id}: clock ahead by {format_duration(one.ahead)}; its samples are set aside"
            )


def nodes_table(nodes: list[Node]) -> str:
    """A line a node."""
    rows = [
        [
            one.sample.server_id,
            click.style(one.status, fg={"online": "green", "warning": "yellow", "offline": "red"}[one.status]),
            ago(one.silence),
            format_megabytes(one.sample.network_rx_bytes_per_sec if one.status != "offline" else None),
            format_megabytes(one.sample.network_tx_bytes_per_sec if one.status != "offline" else None),
            *_faults(uplinks(one.sample.interfaces)),
            glyphs(one.hour),
        ]
        for one in nodes
    ]
    headers = ["node", "status", "last seen", "rx MB/s", "tx MB/s", "errors", "drops", "last hour"]
    align = ("left", "left", "right", "right", "right", "right", "right", "left")
    return _table(rows, headers, align)


def totals_line(nodes: list[Node]) -> str:
    """What all nodes that are online carry together and on average."""
    online = [one.sample for one in nodes if one.status == "online"]
    received = sum(sample.network_rx_bytes_per_sec or 0.0 for sample in online)
    sent = sum(sample.network_tx_bytes_per_sec or 0.0 for sample in online)
    count = max(1, len(online))
    return (
        f"{len(online)} of {len(nodes)} nodes online   "
        f"rx {format_megabytes(received)} MB/s (average {format_megabytes(received / count)})   "
        f"tx {format_megabytes(sent)} MB/s (average {format_megabytes(sent / count)})"
    )


def show_interfaces(reader: Reader, sample: Sample, at: int, as_json: bool) -> None:
    """The interfaces of one node."""
    found = sample.interfaces
    counted = {one.name for one in uplinks(found)}
    edges = _last_hour(reader, sample.server_id, at)
    hours = [reader.series(sample.server_id, one.name, edges) for one in found]
    if as_json:
        listed = [_interface_json(one, counted, hour) for one, hour in zip(found, hours, strict=True)]
        click.echo(json.dumps(listed, indent=2))
        return
    if not found:
        click.echo(f"{sample.server_id} has sent nothing about its interfaces yet")
        return
    rows = [
        [
            printable(one.name),
            "up" if one.is_up else "down",
            *[format_megabytes(hour.current[way] if hour.current else None) for way in (0, 1)],
            format_amount(one.rx_bytes, Units.SI),
            format_amount(one.tx_bytes, Units.SI),
            *_faults([one]),
            glyphs(hour),
            printable(role_in_total(one, counted)),
        ]
        for one, hour in zip(found, hours, strict=True)
    ]
    headers = [
        "interface",
        "state",
        "rx MB/s",
        "tx MB/s",
        "received",
        "sent",
        "errors",
        "drops",
        "last hour",
        "in total",
    ]
    align = ("left", "left", *["right"] * 6, "left", "left")
    click.echo(_table(rows, headers, align))


def _table(rows: list[list[str]], headers: list[str], align: tuple[str, ...]) -> str:
    """Columns that line up. Blanks count, because in a sparkline they are gaps; tabulate is asked for that since 0.10,
    and looked for a constant of its own before."""
    asked = "preserve_whitespace" in signature(tabulate.tabulate).parameters
    more: dict[str, Any] = {"preserve_whitespace": True} if asked else {}
    tabulate.PRESERVE_WHITESPACE = True
    return tabulate.tabulate(rows, headers, tablefmt="simple", colalign=align, disable_numparse=True, **more)


def glyphs(hour: Series) -> str:
    """Both directions together, in one line."""
    values = [sum(bucket.rates) if bucket.known else None for bucket in hour.buckets]
    top = max((value for value in values if value is not None), default=0.0)
    return sparkline(values, top, ascii_only=not speaks_utf8())[0]


def _node(reader: Reader, newest: Newest, at: int) -> Node:
    server_id = newest.sample.server_id
    hour = reader.series(server_id, None, _last_hour(reader, server_id, at))
    return Node(newest.sample, newest.status, newest.silence, newest.ahead, hour)


def _last_hour(reader: Reader, server_id: str, at: int) -> list[int]:
    """The edges of the last hour, or of what is stored of it."""
    begin = max(at - HOUR, reader.first(server_id) or 0)
    return equal_edges(begin if begin < at else at - 1, at, min(SPARK_WIDTH, max(1, at - begin)))


def _faults(interfaces: list[Interface]) -> list[str]:
    """Errors and drops in both directions; a dash where the sender does not count them."""
    errors = [n for one in interfaces for n in (one.rx_errors, one.tx_errors) if n is not None]
    drops = [n for one in interfaces for n in (one.rx_dropped, one.tx_dropped) if n is not None]
    return [str(sum(some)) if some else "-" for some in (errors, drops)]


def _node_json(one: Node, at: int) -> dict[str, Any]:
    sample = one.sample
    return {
        "name": sample.server_id,
        "hostname": sample.hostname,
        "status": one.status,
        "last_seen": ago(one.silence),
        "last_seen_timestamp": (at - one.silence) / 1000,
        "clock_ahead_seconds": one.ahead / 1000 if one.ahead else None,
        "network_rx_bytes_per_sec": sample.network_rx_bytes_per_sec,
        "network_tx_bytes_per_sec": sample.network_tx_bytes_per_sec,
        "network_interfaces": [interface.name for interface in sample.interfaces],
        "last_hour": {"rx_bytes": one.hour.total.rx_bytes, "tx_bytes": one.hour.total.tx_bytes},
    }


def _interface_json(one: Interface, counted: set[str], hour: Series) -> dict[str, Any]:
    described = {key: value for key, value in asdict(one).items() if key not in ("extra", "start")}
    return {
        **described,
        "kind": kind_of(one),
        "start": format_timestamp(one.start) if one.start is not None else None,
        "counts": one.name in counted,
        "why": role_in_total(one, counted),
        "current_rx_bytes_per_sec": hour.current and hour.current[0],
        "current_tx_bytes_per_sec": hour.current and hour.current[1],
        "last_hour": {"rx_bytes": hour.total.rx_bytes, "tx_bytes": hour.total.tx_bytes},
    }
