"""The main job with nothing made up: real interfaces, real traffic, real processes, the kernel's own numbers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.namespaces import push, two_hosts

NETCLI = [sys.executable, "-m", "netstat_cli"]


@contextmanager
def collector(data: Path) -> Iterator[str]:
    """A `netcli serve` on a free port; its address."""
    command = [*NETCLI, "serve", "--listen", "127.0.0.1:0", "--data", str(data)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        yield process.stderr.readline().split()[3].rstrip(",")
        process.terminate()
        assert process.wait(20) == 0


def netcli(*arguments: str, stdin: str = "") -> str:
    """What the program prints; fails if it does."""
    return subprocess.run([*NETCLI, *arguments], input=stdin, check=True, capture_output=True, text=True).stdout


def test_what_went_through_a_cable_is_told_to_the_byte(tmp_path: Path) -> None:
    """collect -> send -> serve -> spark shows the kernel's own difference, under continuous sampling."""
    with two_hosts() as (sender, receiver), collector(tmp_path / "data") as url:
        before = sender.kernel_counters()
        command = sender.command(*NETCLI, "collect", "--interval", "100ms", "--server-id", "cable")
        with (tmp_path / "lines").open("w+") as lines, subprocess.Popen(command, stdout=lines) as sampling:
            while not lines.seek(0) and not lines.read():
                time.sleep(0.05)
            assert push(sender, receiver, 2000) == 20_000_000
            time.sleep(0.3)
            sampling.terminate()
            assert sampling.wait(20) == 0
        after = sender.kernel_counters()
        netcli("send", url, str(tmp_path / "lines"))
        sent = json.loads(netcli("spark", "--json", "--data", str(tmp_path / "data"), "--last", "1h"))
        piped = json.loads(netcli("spark", "--json", "-", stdin=(tmp_path / "lines").read_text()))
    difference = {key: after[key] - before[key] for key in before}
    assert difference["tx_bytes"] > 20_000_000
    for answer in (sent, piped):
        (series,) = answer["series"]
        assert series["interface"] == "cable0"
        assert difference == {key: series[key] for key in difference}
        for key in difference:
            assert difference[key] == sum(bucket[key] for bucket in series["buckets"])


def test_a_sampler_started_anew_for_every_sample_loses_nothing(tmp_path: Path) -> None:
    """One-shot collects into the local store, as cron runs them, add up to the kernel's difference."""
    data = str(tmp_path / "data")
    with two_hosts() as (sender, receiver):
        before = sender.kernel_counters()
        for _ in range(4):
            sender.run(*NETCLI, "collect", "--store", "--data", data, "--server-id", "cable")
            push(sender, receiver, 100)
        sender.run(*NETCLI, "collect", "--store", "--data", data, "--server-id", "cable")
        after = sender.kernel_counters()
    (series,) = json.loads(netcli("spark", "--json", "--data", data))["series"]
    assert {key: after[key] - before[key] for key in before} == {key: series[key] for key in before}


def test_a_device_made_anew_under_its_old_name_counts_from_zero(tmp_path: Path) -> None:
    """The traffic of both devices is counted, and nothing of it twice: no phantom 4 GiB after a reconnect."""
    data = str(tmp_path / "data")
    with two_hosts() as (sender, receiver):
        take = ("collect", "--store", "--data", data, "--server-id", "cable", "--iface", "cable0")
        sender.run(*NETCLI, *take)
        push(sender, receiver, 300)
        sender.run(*NETCLI, *take)
        first = sender.kernel_counters()
        sender.run("ip", "link", "delete", "cable0")
        sender.run("ip", "link", "add", "cable0", "type", "veth", "peer", "name", "cable0", "netns", receiver.name)
        sender.run("ip", "link", "set", "cable0", "up")
        receiver.run("ip", "link", "set", "cable0", "up")
        sender.run(*NETCLI, *take)
        second = sender.kernel_counters()
    (series,) = json.loads(netcli("spark", "--json", "--data", data))["series"]
    assert first["tx_bytes"] > 3_000_000
    assert second["tx_bytes"] < first["tx_bytes"]
    assert series["tx_bytes"] <= first["tx_bytes"] + second["tx_bytes"]
    assert series["tx_bytes"] > 3_000_000


def test_a_pipeline_delivers_each_sample_as_it_is_taken(tmp_path: Path) -> None:
    """`collect --interval | send` has a sample in the collector's files before the next but one is taken."""
    with collector(tmp_path / "data") as url:
        pipeline = f"{' '.join(NETCLI)} collect --interval 1 --server-id web1 | {' '.join(NETCLI)} send -q {url}"
        with subprocess.Popen(pipeline, shell=True, start_new_session=True) as process:  # noqa: S602
            newest = tmp_path / "data" / "web1"
            deadline = time.monotonic() + 20
            while not list(newest.glob("*.jsonl")) and time.monotonic() < deadline:
                time.sleep(0.05)
            lines = [line for path in newest.glob("*.jsonl") for line in path.read_text().splitlines()]
            subprocess.run(["kill", "--", f"-{process.pid}"], check=True)
    assert [json.loads(line)["seq"] for line in lines][:1] == [0]
