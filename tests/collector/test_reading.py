"""What another netcli reads: the interfaces of a span, and series between any edges."""

import pytest

from tests.collector.conftest import Running
from tests.given import T0, interface, line_of, sample

SERVER = "/api/v1/servers/web1"


@pytest.fixture(autouse=True)
def _stored(collector: Running) -> None:
    collector.samples(*[line_of(sample(at, interface(rx=at * 100))) for at in (0, 10, 20)])


def test_series_and_interfaces(collector: Running) -> None:
    """Buckets are since, until, four amounts, seconds, gap and silence; without an interface it is the node."""
    bucket = [T0, T0 + 10_000, 1000, 1000, 1, 1, 10.0, False, 0.0]
    for name in ("eth0", None):
        found = collector.post(f"{SERVER}/series", {"interface": name, "edges": [T0, T0 + 10_000]}).json
        assert ("web1", name, [bucket]) == (found["server_id"], found["interface"], found["buckets"])
    span = f"{SERVER}/interfaces?since={T0}&until={T0 + 9000}"
    assert [["eth0"], ["eth0"], []] == [collector.get(span + more) for more in ("", "&iface=e*", "&iface=w*")]


@pytest.mark.parametrize("edges", [None, [], [1], [1, 1], [2, 1], [0.5, 1], [True, 2], [-1, 1], [0, 10**15], "12"])
def test_edges_that_are_none_are_refused(collector: Running, edges: object) -> None:
    """Edges are moments, each later than the one before."""
    answer = collector.post(f"{SERVER}/series", {"interface": "eth0", "edges": edges})
    assert (400, "INVALID_EDGES") == (answer.status, answer.json["detail"]["code"])


def test_other_questions_are_refused(collector: Running) -> None:
    """An interface that is no name, a span that is none, a server that nobody knows."""
    assert "INVALID_INTERFACE" == collector.post(f"{SERVER}/series", {"interface": 7}).json["detail"]["code"]
    for query in ("", "?since=1", "?since=2&until=1", "?since=-1&until=1", "?since=1&until=9999999999999999"):
        assert "INVALID_SPAN" == collector.get(f"{SERVER}/interfaces{query}")["detail"]["code"]
    assert "NOT_FOUND" == collector.get("/api/v1/servers/web9/interfaces")["detail"]["code"]
    assert 404 == collector.post("/api/v1/servers/web9/series", {}).status
