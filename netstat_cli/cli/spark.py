"""netcli spark"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import IO, Any, NamedTuple

import click

from netstat_cli.cli.options import (
    DURATION,
    SERVER_ID,
    data_option,
    json_option,
    speaks_utf8,
    terminal_width,
    units_options,
)
from netstat_cli.cli.peer import Credentials, from_option
from netstat_cli.cli.reading import choose_span, open_reader
from netstat_cli.errors import NothingStored
from netstat_cli.reader import Reader
from netstat_cli.render.spark import sparkline
from netstat_cli.render.text import align, pad, printable, width
from netstat_cli.render.units import Units, format_rate
from netstat_cli.times import SECOND, format_duration, format_timestamp
from netstat_cli.traffic.series import Series, equal_edges, percentile

PIPED_WIDTH, NARROWEST = 60, 10
FIGURES_WIDTH = 56  # "  999.99 MB/s  avg 999.99 MB/s  peak 999.99 MB/s  23h 59m"
SUB_BUCKETS, MOST_SUB_BUCKETS = 10, 20_000
COLORS = {"rx": "green", "tx": "cyan"}
AGGREGATES: dict[str, Callable[[list[float]], float]] = {
    "max": max,
    "min": min,
    "p95": lambda values: percentile(values, 0.95),
}


class Drawn(NamedTuple):
    """The series of an interface, and (unless `--agg avg`) the same in `finer` buckets, so many to a glyph."""

    series: Series
    finer: Series | None
    to_a_glyph: int


class Row(NamedTuple):
    """One direction of an interface."""

    label: list[str]
    direction: str
    values: list[float | None]
    current: float | None
    average: float | None


@click.command("spark", short_help="Draw sparklines of the traffic of interfaces.")
@click.argument("files", nargs=-1, type=click.File("rb"), metavar="[FILE|-]...")
@click.option("--iface", "patterns", multiple=True, metavar="GLOB", help="Which interfaces. [default: all]")
@click.option("--server", type=SERVER_ID, help="Which server. [default: all]")
@click.option("--last", type=DURATION, help="The time up to now: 10m, 1h, 7d, 365d.")
@click.option("--since", metavar="TIME", help="-2h, 14:30, 2026-11-21, 2026-11-21T14:30:00Z")
@click.option("--until", metavar="TIME", help="The same forms. [default: now]")
@click.option("--rx", "direction", flag_value="rx", help="Only what was received.")
@click.option("--tx", "direction", flag_value="tx", help="Only what was sent.")
@click.option("--both", "direction", flag_value="both", help="Received and sent. [default]")
@click.option("--width", "columns", type=click.IntRange(1, 10_000), help="Glyphs a line. [default: what fits]")
@click.option("--height", type=click.IntRange(1, 50), default=1, show_default=True, help="Lines a sparkline.")
@click.option(
    "--agg", type=click.Choice(["avg", *AGGREGATES]), default="avg", show_default=True, help="What a glyph shows."
)
@click.option("--resolution", type=DURATION, help="Of what --agg is taken: rates over so long. [default: 1/10 glyph]")
@click.option("--scale", type=click.Choice(["own", "shared"]), default="own", show_default=True)
@units_options
@click.option("--ascii", "ascii_only", is_flag=True, help="No glyphs beyond ASCII.")
@click.option("--plain", is_flag=True, help="The glyphs alone.")
@json_option
@from_option
@data_option
def command(
    files: tuple[IO[bytes], ...],
    patterns: tuple[str, ...],
    server: str | None,
    last: int | None,
    since: str | None,
    until: str | None,
    direction: str | None,
    columns: int | None,
    height: int,
    agg: str,
    resolution: int | None,
    scale: str,
    units: str | None,
    ascii_only: bool,
    plain: bool,
    as_json: bool,
    peer: str | None,
    data: str | None,
    credentials: Credentials,
) -> None:
    """Draw a sparkline of each interface over any span, from the store, or from files and pipes of sample lines.

    A blank is a gap: nothing was sampled then. Without a span it is what is stored of the last hour; of files, all.

    \b
      netcli spark --iface eth0 --last 7d
      netcli collect --interval 0.2 --count 50 | netcli spark --iface eth0 -
    """
    reader = open_reader(data, server, peer, credentials, files)
    begin, end = choose_span(reader, last, since, until, bool(files))
    servers = [sample.server_id for sample in reader.latest()]
    wanted = [(one, name) for one in servers for name in reader.interfaces(one, patterns, begin, end)]
    if not wanted:
        raise _no_such_interface(reader, patterns)
    directions = (direction,) if direction in ("rx", "tx") else ("rx", "tx")
    labels = [([one] if len(servers) > 1 else []) + [printable(name)] for one, name in wanted]
    room = columns or (PIPED_WIDTH if plain or as_json else _room(labels))
    edges = equal_edges(begin, end, max(1, min(room, end - begin)))
    drawn = [_read(reader, *key, edges, agg, resolution) for key in wanted]
    if as_json:
        click.echo(json.dumps(to_json(begin, end, drawn, agg), indent=2))
        return
    rows = [_row(label, one, way, agg) for label, one in zip(labels, drawn, strict=True) for way in directions]
    look = Look(height, scale == "shared", Units[units or "SI"], ascii_only or not speaks_utf8())
    click.echo("\n".join(_plain(rows, look) if plain else _lines(rows, look, end - begin)))


class Look(NamedTuple):
    """How rows are drawn."""

    height: int
    shared: bool
    units: Units
    ascii_only: bool


def _no_such_interface(reader: Reader, patterns: tuple[str, ...]) -> NothingStored:
    known = {interface.name for sample in reader.latest() for interface in sample.interfaces}
    wanted = ", ".join(patterns) or "at all"
    return NothingStored(
        f"no interface {wanted} is stored", hint=f"there are: {', '.join(sorted(known)) or 'none yet'}"
    )


def _read(reader: Reader, server_id: str, name: str, edges: list[int], agg: str, resolution: int | None) -> Drawn:
    whole = reader.series(server_id, name, edges)
    if agg == "avg":
        return Drawn(whole, None, 1)
    glyphs = len(edges) - 1
    length = edges[-1] - edges[0]
    to_a_glyph = SUB_BUCKETS if resolution is None else max(1, round(length / glyphs / resolution))
    to_a_glyph = max(1, min(to_a_glyph, MOST_SUB_BUCKETS // glyphs, length // glyphs))
    return Drawn(
        whole, reader.series(server_id, name, equal_edges(edges[0], edges[-1], glyphs * to_a_glyph)), to_a_glyph
    )


def _row(label: list[str], drawn: Drawn, direction: str, agg: str) -> Row:
    way = ("rx", "tx").index(direction)
    one = drawn.series
    values = _rates(drawn.finer or one, way)
    if drawn.finer is not None:
        groups = [values[i : i + drawn.to_a_glyph] for i in range(0, len(values), drawn.to_a_glyph)]
        known = [[value for value in group if value is not None] for group in groups]
        values = [AGGREGATES[agg](group) if group else None for group in known]
    current = one.current[way] if one.current else None
    average = one.total[way] / one.seconds if one.seconds else None
    return Row([*label, direction], direction, values, current, average)


def _rates(one: Series, way: int) -> list[float | None]:
    return [bucket.rates[way] if bucket.known else None for bucket in one.buckets]


def _lines(rows: list[Row], look: Look, length: int) -> list[str]:
    """The rows with their names and figures, columns lined up."""
    peaks = [max((value for value in row.values if value is not None), default=None) for row in rows]
    figures = align(
        [
            [
                format_rate(row.current, look.units),
                "avg",
                format_rate(row.average, look.units),
                "peak",
                format_rate(peak, look.units),
                format_duration(length),
            ]
            for row, peak in zip(rows, peaks, strict=True)
        ],
        right=frozenset({0, 2, 4}),
    )
    names = align([row.label for row in rows])
    indent = max(map(width, names))
    lines = []
    for row, name, figure in zip(rows, names, figures, strict=True):
        *upper, lowest = _glyphs(row, rows, look)
        lines += [" " * (indent + 2) + click.style(glyphs, fg=COLORS[row.direction]) for glyphs in upper]
        lines.append(f"{pad(name, indent)}  {click.style(lowest, fg=COLORS[row.direction])}  {figure}")
    return lines


def _plain(rows: list[Row], look: Look) -> list[str]:
    return [line for row in rows for line in _glyphs(row, rows, look)]


def _glyphs(row: Row, rows: list[Row], look: Look) -> list[str]:
    scaled_by = rows if look.shared else [row]
    top = max((value for one in scaled_by for value in one.values if value is not None), default=0.0)
    return sparkline(row.values, top, look.height, look.ascii_only)


def _room(labels: list[list[str]]) -> int:
    """The glyphs that fit beside names and figures."""
    names = max(sum(width(part) + 2 for part in label) for label in labels) + 2
    return max(NARROWEST, terminal_width() - names - FIGURES_WIDTH)


def to_json(since: int, until: int, drawn: list[Drawn], agg: str) -> dict[str, Any]:
    """The numbers behind the picture."""
    return {
        "since": format_timestamp(since),
        "until": format_timestamp(until),
        "agg": agg,
        "series": [_series_json(one, agg) for one in drawn],
    }


def _series_json(drawn: Drawn, agg: str) -> dict[str, Any]:
    one = drawn.series
    described: dict[str, Any] = {
        "server_id": one.server_id,
        "interface": one.interface,
        "rx_bytes": one.total.rx_bytes,
        "tx_bytes": one.total.tx_bytes,
        "rx_packets": one.total.rx_packets,
        "tx_packets": one.total.tx_packets,
        "seconds": round(one.seconds, 3),
        "current_rx_bytes_per_sec": one.current and one.current[0],
        "current_tx_bytes_per_sec": one.current and one.current[1],
        "buckets": [
            {
                "since": format_timestamp(bucket.since),
                "until": format_timestamp(bucket.until),
                **bucket.traffic._asdict(),
                "seconds": bucket.seconds,
                "gap": bucket.gap,
            }
            for bucket in one.buckets
        ],
    }
    if drawn.finer is not None:
        finest = drawn.finer.buckets[0]
        described["resolution_seconds"] = (finest.until - finest.since) / SECOND
        for way in ("rx", "tx"):
            described[f"{agg}_{way}_bytes_per_sec"] = _row([], drawn, way, agg).values
    return described
