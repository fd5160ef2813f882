"""netcli store: info, verify, compact, prune, import."""

import json
from pathlib import Path

from netstat_cli.times import DAY, SECOND, day_of, day_start, format_timestamp, now
from tests.cli.conftest import Run, store, text_of
from tests.given import T0, interface, sample
from tests.test_importing import export

NOON = day_start(day_of(now())) - 9 * DAY + DAY // 2
"""Noon nine days ago: far from every limit that the tests set, also if midnight comes while they run."""
BEGIN = (NOON - T0) / SECOND
DAYS = [sample(BEGIN + i * 10, interface(rx=i)) for i in range(8641)]


def test_a_store_is_looked_after(run: Run, data: Path) -> None:
    """compact closes and thins, info tells what there is, verify finds it sound, prune deletes; totals stay."""
    store(data, DAYS)
    before = run("report", "--by", "total", "--last", "40d", "--json").stdout
    assert (0, "", "2 days rewritten\n") == run("store", "compact", "--thin", "1d:1h")
    assert (0, "", "0 days rewritten\n") == run("store", "compact")
    totals = [
        json.loads(text)[0]["periods"][0]["rx_bytes"]
        for text in (before, run("report", "--by", "total", "--last", "40d", "--json").stdout)
    ]
    assert [8640, 8640] == totals
    (one,) = json.loads(run("store", "info", "--json").stdout)
    assert (2, 28, format_timestamp(NOON)) == (one["days"], one["lines"], one["first"])
    assert (0, "the store is sound\n", "") == run("store", "verify")
    assert (0, "", "0 files deleted\n") == run("store", "prune", "--keep", "10d")
    assert (0, "", "2 files deleted\n") == run("store", "prune", "--keep", "1d")


def test_damage_is_told_and_does_not_stop_the_rest(run: Run, data: Path) -> None:
    """A damaged day is one fault with its place; upkeep says so without a traceback and goes on with the other days."""
    store(data, DAYS, [sample(BEGIN, interface(), server="web2")])
    run("store", "compact")
    closed = data / f"web1/{day_of(NOON)}.jsonl.gz"
    closed.write_bytes(closed.read_bytes()[:99])
    assert (1, True) == ((found := run("store", "verify"))[0], found.stdout.endswith("\n1 faults\n"))
    code, _, said = run("store", "compact", "--thin", "1d:1m")
    assert (1, False, True) == (code, "Traceback" in said, str(closed) in said)
    assert (1, 0) == (found.returncode, run("report", "--server", "web2", "--last", "40d").returncode)


def test_import(run: Run, data: Path, tmp_path: Path) -> None:
    """Lines and vnstat's histories are added once; what is no sample is named with its line."""
    (tmp_path / "v.json").write_text(json.dumps(export()))
    first = run("store", "import", "--server-id", "web1", tmp_path / "v.json")
    again = run("store", "import", "--server-id", "web1", tmp_path / "v.json")
    assert (0, "13 samples added, 0 already there\n") == first[::2]
    assert (0, "0 samples added, 0 already there") == (again.returncode, again.stderr.splitlines()[-1])
    code, _, said = run("store", "import", "-", stdin=text_of(DAYS[:2]) * 2 + b"{}\n")
    assert (1, "2 samples added, 2 already there, 1 rejected") == (code, said.splitlines()[-1])
    assert ":5: rejected: timestamp: is missing" in said
    code, _, said = run("store", "import", "-", stdin=json.dumps(export() | {"jsonversion": "1"}))
    assert (1, "vnstat's jsonversion '1' is not known") == (code, said[8:45])


def test_where_a_store_is_looked_for(run: Run, tmp_path: Path) -> None:
    """The option counts before $NETCLI_DATA, that before systemd's folder, and that before the user's own."""
    places = [
        tmp_path / name for name in ("option", "environment", "systemd", "xdg/netcli", "home/.local/state/netcli")
    ]
    chosen = {"NETCLI_DATA": str(places[1]), "STATE_DIRECTORY": f"{places[2]}:{tmp_path}/more"}
    chosen |= {"XDG_STATE_HOME": str(tmp_path / "xdg"), "HOME": str(tmp_path / "home")}
    told = [run("store", "info", "--data", places[0], **chosen).stderr]
    for name in ("NETCLI_DATA", "STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"):
        told.append(run("store", "info", **chosen).stderr)
        chosen[name] = ""
    assert [f"netcli: no samples are stored in {place}" for place in places[:4]] == [
        text.splitlines()[0] for text in told[:4]
    ]
    relative = chosen | {"XDG_STATE_HOME": "relative", "HOME": str(tmp_path / "home")}
    assert f"no samples are stored in {places[4]}" in run("store", "info", **relative).stderr
