"""The API's own description taken at its word: whatever requests follow from it, the answers are those it names."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from netstat_cli.collector.openapi import DESCRIPTION
from netstat_cli.line.wire import encode
from netstat_cli.store.check import verify
from tests.collector.conftest import Running
from tests.given import interface, sample
from tests.namespaces import MUST_RUN

OPERATIONS = [(path, method) for path, item in DESCRIPTION["paths"].items() for method in item]
LINES = "application/x-ndjson"
KNOWN = "web1"
"""A server that the collector has samples of; one with a generated name is mostly unknown."""
CLOSE_TOGETHER = st.integers(0, 600).map(
    lambda tenth: datetime(2026, 11, 21, tzinfo=UTC) + timedelta(seconds=tenth / 10)
)
FAR_APART = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]
# Of what schemathesis can check these are left out:
# positive_data_acceptance: JSON Schema takes 1.0 for an integer, and cannot say that edges rise and names come once.
# negative_data_rejection: unknown keys, and null for what may be missing, are ignored; a 200 tells of bad lines.
# missing_required_header, ignored_auth, object_level_authorization: no header is described; see test_access.py.
# unsupported_method, allow_header_conformance: no operation is asked for with another method; test_routes.py does.
# use_after_free, ensure_resource_availability: a node that was forgotten is there again with its next sample.
REPEATABLE = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],  # to make a failing request smaller takes a collector that forgets
    suppress_health_check=list(HealthCheck),
)

to_json = partial(json.dumps, default=str)  # what goes against the description may hold bytes


class Api(NamedTuple):
    """A collector, and schemathesis with the description that it gave."""

    running: Running
    schemathesis: Any
    schema: Any


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A collector that keeps what one operation stored for those after it; in the end it must be well, without a
    warning, and its store sound."""
    must = os.environ.get(MUST_RUN)
    schemathesis: Any = importlib.import_module("schemathesis") if must else pytest.importorskip("schemathesis")
    schemathesis.checks.load_all_checks()
    schemathesis.serializer(LINES)(lambda _, body: body if isinstance(body, bytes) else to_json(body).encode())
    schemathesis.openapi.format("date-time", (CLOSE_TOGETHER | FAR_APART).map(datetime.isoformat))
    with Running(tmp_path_factory.mktemp("described") / "store") as running:
        yield Api(running, schemathesis, schemathesis.openapi.from_url(f"{running.url}/openapi.json"))
        assert {"status": "ok"} == running.get("/healthz")
        assert [] == running.warnings
    assert [] == [finding for finding in verify(str(running.data), lambda _: None) if finding.is_fault]


def likely(case: Any) -> Any:
    """A request as a sender makes it: about a server that is known, and with whole numbers for integers."""
    case.path_parameters = dict.fromkeys(case.path_parameters, KNOWN)
    if isinstance(case.body, dict):
        named = {key: KNOWN for key in ("server_id", "name") if isinstance(case.body.get(key), str)}
        case.body = json.loads(to_json(case.body | named), parse_float=whole)
    return case


def whole(text: str) -> float | int:
    """A number, as an integer where it is one."""
    number = float(text)
    return int(number) if number.is_integer() else number


def with_lines(case: Any, heartbeats: list[Any]) -> Any:
    """A request with the bodies of others as its lines."""
    case.body = "\n".join(to_json(heartbeat.body) for heartbeat in heartbeats).encode()
    return case


def cases(api: Api, path: str, method: str) -> Iterator[st.SearchStrategy[Any]]:
    """Requests that keep to an operation's description; then, if it asks for anything, requests that do not."""
    described = DESCRIPTION["paths"][path][method]
    asks = described.keys() & {"parameters", "requestBody"}
    for mode in list(api.schemathesis.GenerationMode)[: 2 if asks else 1]:
        generated = api.schema[path][method].as_strategy(mode)
        if path == "/api/v1/samples":
            heartbeat = api.schema["/api/v1/agents/heartbeat"]["POST"]
            lines = st.lists(heartbeat.as_strategy(mode).map(likely), min_size=1, max_size=5)
            yield generated | st.builds(with_lines, generated, lines)
        else:
            yield generated | generated.map(likely)


@pytest.mark.slow
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_described(api: Api, path: str, method: str) -> None:
    """Nothing that is asked brings about a server error, a status that the description does not name, or another body
    than it tells of."""
    checks = api.schemathesis.checks.CHECKS.get_by_names(CHECKS)
    api.running.samples(encode(sample(0, interface(rx=1000), server=KNOWN)))
    sends = "requestBody" in DESCRIPTION["paths"][path][method]
    with requests.Session() as session:
        for requested in cases(api, path, method):

            @settings(REPEATABLE, max_examples=160 if sends else 60)
            @given(case=requested)
            def ask(case: Any) -> None:
                case.call_and_validate(session=session, checks=checks, timeout=10)

            ask()
