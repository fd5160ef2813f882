"""Another collector's API gives what its files give."""

from pathlib import Path

import pytest

from netstat_cli.errors import NetcliError, NothingStored
from netstat_cli.reader import store_reader
from netstat_cli.times import DAY
from netstat_cli.traffic.series import equal_edges
from netstat_cli.transport.remote import RemoteReader
from tests.cli.conftest import store
from tests.collector.conftest import Running
from tests.given import T0, interface, sample
from tests.transport.test_client import Peer, Reply


@pytest.mark.parametrize("patterns", [(), ("e*",), ("w*", "e*"), ("eth0", "eth0"), ("gone",), ("none",)])
def test_it_answers_as_the_files_do(tmp_path: Path, patterns: tuple[str, ...]) -> None:
    """Newest sample, first moment, interfaces of a span in their order, and the buckets of any edges."""
    both = [(interface(rx=i * 1000), interface("wlan0", i * 7, ifindex=3, kind="wireless")) for i in range(9)]
    store(tmp_path, [sample(-9, interface("gone")), *(sample(i * 10, *two) for i, two in enumerate(both))])
    local = store_reader(str(tmp_path), T0 + DAY, "web1")
    with Running(tmp_path) as running:
        remote = RemoteReader(running.url, "web1")
        (mine,), (its,) = local.latest(), remote.latest()
        assert (mine.timestamp, mine.hostname, mine.interfaces) == (its.timestamp, its.hostname, its.interfaces)
        span = ("web1", patterns, T0 + 50_000, T0 + 80_000)
        assert (local.first("web1"), local.interfaces(*span)) == (remote.first("web1"), remote.interfaces(*span))
        for name, count in (("eth0", 7), (None, 3), ("none", 1)):
            edges = equal_edges(T0 - 5000, T0 + 95_000, count)
            assert local.series("web1", name, edges) == remote.series("web1", name, edges)


def test_what_does_not_answer_is_said(tmp_path: Path) -> None:
    """A server that nobody knows, a collector without samples, a dead peer and one that speaks of other things."""
    with Running(tmp_path) as running:
        with pytest.raises(NothingStored, match="no server 'web9' has reported yet"):
            RemoteReader(running.url, "web9").latest()
        with pytest.raises(NothingStored, match="has no samples yet"):
            RemoteReader(running.url).latest()
    with pytest.raises(NetcliError, match="^cannot reach http://127.0.0.1:1/api/v1/servers: "):
        RemoteReader("http://127.0.0.1:1").latest()


def test_so_many_edges_as_a_long_report_has_are_answered(tmp_path: Path) -> None:
    """90 days of five minutes, or three years of hours, are as good a question to a collector as to its files."""
    store(tmp_path, [sample(0, interface())])
    with Running(tmp_path) as running:
        assert 26_000 == len(RemoteReader(running.url).series("web1", "eth0", list(range(T0, T0 + 26_001))).buckets)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"7", b'{"buckets":[[1]]}', b"[" * 10**5])
def test_garbage_is_no_answer(body: bytes) -> None:
    """Whatever else is answered with 200 is an error that names the peer."""
    with Peer(Reply(200, body)) as peer, pytest.raises(NetcliError, match="does not answer as a netcli collector does"):
        RemoteReader(peer.url).series("web1", "eth0", [0, 1])
