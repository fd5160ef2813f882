"""netcli spark"""

from __future__ import annotations

import json
import shutil
import sys
from typing import IO, Any, NamedTuple

import click

from netstat_cli.cli.options import DURATION, SERVER_ID, data_dir, data_option, json_option, units_options
from netstat_cli.cli.reading import given_histories, stored_histories
from netstat_cli.errors import NothingStored
from netstat_cli.render.spark import sparkline
from netstat_cli.render.text import align, pad, printable, width
from netstat_cli.render.units import Units, format_rate
from netstat_cli.series import Series, equal_edges, interface_names, matching, series
from netstat_cli.store.history import History
from netstat_cli.times import HOUR, format_duration, format_timestamp, now, parse_when
from netstat_cli.wire import needle

PIPED_WIDTH, NARROWEST = 60, 10
FIGURES_WIDTH = 56  # "  999.99 MB/s  avg 999.99 MB/s  peak 999.99 MB/s  23h 59m"
SUB_BUCKETS = 10
NAME_EDGES = 60
COLORS = {"rx": "green", "tx": "cyan"}


class Drawn(NamedTuple):
    """The series of an interface, and (`--agg max`) the same in finer buckets."""

    series: Series
    finer: Series | None


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
@click.option("--both", "direction", flag_value="both", default="both", help="Received and sent. [default]")
@click.option("--width", "columns", type=click.IntRange(1, 10_000), help="Glyphs a line. [default: what fits]")
@click.option("--height", type=click.IntRange(1, 50), default=1, show_default=True, help="Lines a sparkline.")
@click.option("--agg", type=click.Choice(["avg", "max"]), default="avg", show_default=True, help="What a glyph shows.")
@click.option("--scale", type=click.Choice(["own", "shared"]), default="own", show_default=True)
@units_options
@click.option("--ascii", "ascii_only", is_flag=True, help="No glyphs beyond ASCII.")
@click.option("--plain", is_flag=True, help="The glyphs alone.")
@json_option
@data_option
def command(
    files: tuple[IO[bytes], ...],
    patterns: tuple[str, ...],
    server: str | None,
    last: int | None,
    since: str | None,
    until: str | None,
    direction: str,
    columns: int | None,
    height: int,
    agg: str,
    scale: str,
    units: str | None,
    ascii_only: bool,
    plain: bool,
    as_json: bool,
    data: str | None,
) -> None:
    """Draw a sparkline of each interface over any span, from the store, or from files and pipes of sample lines.

    A blank is a gap: nothing was sampled then. Without a span it is what is stored of the last hour; of files, all.

    \b
      netcli spark --iface eth0 --last 7d
      netcli collect --interval 0.2 --count 50 | netcli spark --iface eth0 -
    """
    if last is not None and since is not None:
        raise click.UsageError("--last and --since both say where to begin; choose one")
    histories = given_histories(files, server) if files else stored_histories(data_dir(data), server)
    since_moment, until_moment = choose_span(histories, last, since, until, bool(files))
    wanted = [(one, name) for one in histories for name in _names(one, patterns, since_moment, until_moment)]
    if not wanted:
        raise _no_such_interface(histories, patterns)
    directions = ("rx", "tx") if direction == "both" else (direction,)
    labels = {(one, name): _label(histories, one, name) for one, name in wanted}
    room = columns or (PIPED_WIDTH if plain or as_json else _room(list(labels.values())))
    edges = equal_edges(since_moment, until_moment, max(1, min(room, until_moment - since_moment)))
    drawn = {key: _draw(*key, edges, agg) for key in wanted}
    if as_json:
        click.echo(json.dumps(to_json(since_moment, until_moment, list(drawn.values())), indent=2))
        return
    rows = [_row(labels[key], one, way) for key, one in drawn.items() for way in directions]
    look = Look(height, scale == "shared", Units[units or "SI"], ascii_only or not _speaks_utf8())
    click.echo("\n".join(_plain(rows, look) if plain else _lines(rows, look, until_moment - since_moment)))


class Look(NamedTuple):
    """How rows are drawn."""

    height: int
    shared: bool
    units: Units
    ascii_only: bool


def choose_span(
    histories: list[History], last: int | None, since: str | None, until: str | None, whole: bool
) -> tuple[int, int]:
    """The time to show. Without a word about it: what there is of the last hour, or (`whole`) all there is."""
    at = now()
    end = parse_when(until, at, None) if until is not None else at
    begin = parse_when(since, at, None) if since is not None else end - (last or HOUR)
    if last is None and since is None:
        stored = [
            (first.timestamp, newest.timestamp)
            for one in histories
            if (first := one.first()) and (newest := one.last())
        ]
        oldest = min((first for first, _ in stored), default=begin)
        newest_of_all = max((newest for _, newest in stored), default=end)
        if whole:
            return oldest, max(newest_of_all, oldest + 1) if until is None else end
        if newest_of_all < begin:
            when = format_timestamp(newest_of_all)
            raise NothingStored(
                f"nothing was sampled in the last hour; the newest sample is of {when}", hint=f"--until {when}"
            )
        begin = max(begin, oldest)
    if begin >= end:
        raise click.UsageError("the span ends before it begins; see --since and --until")
    return begin, end


def _names(history: History, patterns: tuple[str, ...], since: int, until: int) -> list[str]:
    """The interfaces to draw: those around the edges of the span, and those asked for by their whole name."""
    edges = equal_edges(since, until, max(1, min(NAME_EDGES, until - since)))
    found = matching(interface_names(history, edges), patterns)
    return found + [one for one in patterns if one not in found and history.rfind(needle(one), until)]


def _no_such_interface(histories: list[History], patterns: tuple[str, ...]) -> NothingStored:
    known = {name for one in histories if (last := one.last()) for name in interface_names(one, [last.timestamp])}
    wanted = ", ".join(patterns) or "any name"
    return NothingStored(
        f"no interface {wanted} is stored", hint=f"there are: {', '.join(sorted(known)) or 'none yet'}"
    )


def _draw(history: History, name: str, edges: list[int], agg: str) -> Drawn:
    finer = None
    if agg == "max":
        count = (len(edges) - 1) * SUB_BUCKETS
        finer = series(
            history, [name], [edges[0] + (edges[-1] - edges[0]) * i // count for i in range(count + 1)], name
        )
    return Drawn(series(history, [name], edges, name), finer)


def _row(label: list[str], drawn: Drawn, direction: str) -> Row:
    way = ("rx", "tx").index(direction)
    values = [bucket.rates[way] if bucket.known else None for bucket in (drawn.finer or drawn.series).buckets]
    if drawn.finer is not None:
        groups = [values[i : i + SUB_BUCKETS] for i in range(0, len(values), SUB_BUCKETS)]
        values = [max((value for value in group if value is not None), default=None) for group in groups]
    one = drawn.series
    current = one.current[way] if one.current else None
    average = one.total[way] / one.seconds if one.seconds else None
    return Row([*label, direction], direction, values, current, average)


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


def _label(histories: list[History], history: History, name: str) -> list[str]:
    """What names a row: the interface, and the server where there are several."""
    return ([history.server_id] if len(histories) > 1 else []) + [printable(name)]


def _room(labels: list[list[str]]) -> int:
    """The glyphs that fit beside names and figures."""
    names = max(sum(width(part) + 2 for part in label) for label in labels) + 2
    return max(NARROWEST, shutil.get_terminal_size().columns - names - FIGURES_WIDTH)


def _speaks_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def to_json(since: int, until: int, drawn: list[Drawn]) -> dict[str, Any]:
    """The numbers behind the picture."""
    return {
        "since": format_timestamp(since),
        "until": format_timestamp(until),
        "series": [_series_json(one.series) for one in drawn],
    }


def _series_json(one: Series) -> dict[str, Any]:
    return {
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
