"""netcli store"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any

import click

from netstat_cli.cli.options import DURATION, SERVER_ID, data_dir, data_option, json_option, this_host, warn
from netstat_cli.errors import EXIT_FAILED, InvalidSample, NetcliError, UsageProblem
from netstat_cli.line.model import Sample
from netstat_cli.line.wire import decode, parse_json
from netstat_cli.render.text import align
from netstat_cli.render.units import Units, format_amount
from netstat_cli.store import check
from netstat_cli.store.layout import days, servers
from netstat_cli.store.upkeep import Policy, Thinning, carry_out, plan, prune
from netstat_cli.store.writer import Writer
from netstat_cli.times import format_timestamp, now, parse_duration

IMPORT_BATCH = 2000


class ThinningType(click.ParamType):  # type: ignore[type-arg]
    """90d:1m: of days older than 90 days one sample a minute."""

    name = "age:step"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Thinning:
        """The age and the step."""
        if isinstance(value, Thinning):
            return value
        age, colon, step = value.partition(":")
        try:
            thinning = Thinning(parse_duration(age), parse_duration(step))
        except UsageProblem as error:
            self.fail(f"{error.message}; write for example 90d:1m", param, ctx)
        if not colon or thinning.step <= 0:
            self.fail(f"{value!r} is no thinning; write for example 90d:1m", param, ctx)
        return thinning


THINNING = ThinningType()


@click.group("store", short_help="Look after the store: info, verify, compact, prune, import.")
def command() -> None:
    """Look after the store. `netcli serve` merges, closes, thins and prunes by itself; these do it by hand."""


@command.command("info")
@json_option
@data_option
def info(as_json: bool, data: str | None) -> None:
    """Show what the store holds of every server: days, lines, bytes, first and last sample."""
    folder = data_dir(data)
    with _progress(_count_days(folder), "reading") as bar:
        found = check.contents(folder, bar.update)
    if as_json:
        click.echo(json.dumps([_contents_json(one) for one in found], indent=2))
        return
    header = ["server", "days", "lines", "size", "bytes per reading", "first sample", "last sample"]
    rows = [
        [
            one.server_id,
            str(one.days),
            str(one.lines),
            format_amount(one.size, Units.SI),
            f"{one.size / one.readings:.1f}" if one.readings else "-",
            *[format_timestamp(moment) if moment is not None else "-" for moment in (one.first, one.last)],
        ]
        for one in found
    ]
    click.echo("\n".join(align([header, *rows], right=frozenset({1, 2, 3, 4}))))


@command.command("verify")
@data_option
def verify(data: str | None) -> int:
    """Read the whole store and tell what is wrong with it. Exit code 1 if anything is.

    Every line must parse, time must strictly increase, counters must not fall within a run, gzip members must agree
    with their headers. Samples that are missing, by their `seq`, are told; that alone is no fault of the store.
    """
    folder = data_dir(data)
    faults = 0
    with _progress(_count_days(folder), "verifying") as bar:
        findings = list(check.verify(folder, bar.update))
    for finding in findings:
        faults += finding.is_fault
        click.echo(f"{finding.where}: {finding.what}")
    click.echo(f"{faults} faults" if faults else "the store is sound")
    return EXIT_FAILED if faults else 0


@command.command("compact")
@click.option("--thin", type=THINNING, help="90d:1m keeps one sample a minute of days older than 90 days.")
@data_option
def compact(thin: Thinning | None, data: str | None) -> int:
    """Merge what came late, close the days that are over, and thin the old ones. No total changes by a byte."""
    folder = data_dir(data)
    failed = 0
    with Writer(folder, "netcli store compact", warn) as writer:
        work = plan(folder, Policy(thinning=thin), now())
        with _progress(len(work), "compacting") as bar:
            for one in work:
                try:
                    carry_out(folder, one, writer, warn, lambda: None)
                except (OSError, ValueError, NetcliError) as error:
                    failed += 1
                    warn(f"{one.server_id} {one.files.day}: {error}")
                bar.update(1)
    click.echo(f"{len(work) - failed} days rewritten" + (f", {failed} could not be" if failed else ""), err=True)
    return EXIT_FAILED if failed else 0


@command.command("prune")
@click.option("--keep", type=DURATION, required=True, help="Delete the days older than this: 400d.")
@data_option
def prune_command(keep: int, data: str | None) -> None:
    """Delete the days that are older than --keep."""
    folder = data_dir(data)
    with Writer(folder, "netcli store prune", warn):
        deleted = prune(folder, Policy(keep=keep), now())
    click.echo(f"{len(deleted)} files deleted", err=True)


@command.command("import")
@click.argument("files", nargs=-1, required=True, type=click.File("rb"), metavar="FILE|-...")
@click.option("--server-id", type=SERVER_ID, help="Whose history a vnstat export is. [default: this host's]")
@data_option
def import_command(files: tuple[IO[bytes], ...], server_id: str | None, data: str | None) -> int:
    """Add sample lines from elsewhere, or what `vnstat --json` prints, to the store.

    A line that the store has already is not added again. Of a vnstat history comes what is older than the store's own
    samples of that server; totals over vnstat's hours, days and months stay exact.
    """
    folder = data_dir(data)
    rejected = 0
    added = known = 0
    with Writer(folder, "netcli store import", warn) as writer:
        for file in files:
            text = file.read()
            samples, errors = _samples(text, server_id or this_host()[0], folder, file.name)
            rejected += errors
            with _progress(len(samples), "importing") as bar:
                for begin in range(0, len(samples), IMPORT_BATCH):
                    stored = writer.append(samples[begin : begin + IMPORT_BATCH])
                    added += sum(one.is_new for one in stored)
                    known += sum(not one.is_new for one in stored)
                    bar.update(len(stored))
    refused = f", {rejected} rejected" if rejected else ""
    click.echo(f"{added} samples added, {known} already there{refused}", err=True)
    return EXIT_FAILED if rejected else 0


def _samples(text: bytes, server_id: str, folder: str, name: str) -> tuple[list[Sample], int]:
    """The samples in a file, and how many lines are none."""
    from netstat_cli.importing import is_vnstat, vnstat_samples

    if text.lstrip()[:1] == b"{" and b'"vnstatversion"' in text[:200]:
        obj = parse_json(text)
        if is_vnstat(obj):
            return _older(vnstat_samples(obj, server_id), folder), 0
    samples, errors = [], 0
    for number, line in enumerate(text.split(b"\n"), 1):
        if line.strip():
            try:
                samples.append(decode(line))
            except InvalidSample as error:
                errors += 1
                warn(f"{name}:{number}: rejected: {error.message}")
    return samples, errors


def _older(samples: Iterator[Sample], folder: str) -> list[Sample]:
    """Those that are older than what the store has of their server."""
    from netstat_cli.store.history import open_history

    found = list(samples)
    with open_history(folder, found[0].server_id if found else "") as history:
        first = history.first()
    older = [sample for sample in found if first is None or sample.timestamp < first.timestamp]
    if len(older) < len(found):
        warn(f"left out {len(found) - len(older)} moments of which the store has samples of its own")
    return older


def _count_days(folder: str) -> int:
    return sum(len(days(folder, server_id)) for server_id in servers(folder))


def _progress(length: int, label: str) -> Any:
    """A bar on a terminal, on stderr; nothing elsewhere."""
    import io
    import sys

    shown = sys.stderr if sys.stderr.isatty() else io.StringIO()  # click learnt to hide it only in 8.2
    return click.progressbar(length=length, label=label, file=shown)


def _contents_json(one: check.Contents) -> dict[str, object]:
    described = one._asdict()
    for moment in ("first", "last"):
        described[moment] = format_timestamp(described[moment]) if described[moment] is not None else None
    return {**described, "bytes_per_reading": round(one.size / one.readings, 2) if one.readings else None}
