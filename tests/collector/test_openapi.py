"""The API's own description tells what the routes do."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from msgspec.structs import replace

from netstat_cli.collector.openapi import DESCRIPTION
from netstat_cli.collector.routes import ROUTES
from tests.collector.conftest import Running
from tests.given import interface, line_of, sample


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema that a $ref points to."""
    while "$ref" in schema:
        target: Any = DESCRIPTION
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    return schema


def references(value: Any) -> list[str]:
    """Every $ref in the description."""
    if isinstance(value, dict):
        return [value["$ref"]] if "$ref" in value else [found for one in value.values() for found in references(one)]
    return [found for one in value for found in references(one)] if isinstance(value, list) else []


def test_every_route_is_described_and_every_description_has_a_route() -> None:
    """The same paths with the same methods, no more and no fewer."""
    routes = {
        (re.sub(r"\(\?P<\w+>[^)]*\)", "{}", pattern.pattern).replace("\\", ""), method.lower())
        for pattern, methods in ROUTES
        for method in methods
    }
    described = {
        (re.sub(r"\{\w+\}", "{}", path), method) for path, item in DESCRIPTION["paths"].items() for method in item
    }
    assert routes == described


def test_the_description_is_what_the_page_answers(collector: Running) -> None:
    """GET /openapi.json gives it, as OpenAPI 3.1."""
    assert collector.get("/openapi.json") == json.loads(json.dumps(DESCRIPTION))
    assert DESCRIPTION["openapi"] == "3.1.0"


def test_the_parts_fit_together() -> None:
    """Every reference leads somewhere, and every part of a path is declared as its parameter."""
    assert all(resolved({"$ref": reference}) for reference in references(DESCRIPTION))
    for path, item in DESCRIPTION["paths"].items():
        for operation in item.values():
            named = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
            assert set(re.findall(r"\{(\w+)\}", path)) == named
            assert {"summary", "responses"} <= operation.keys()


def assert_described(schema: dict[str, Any], value: Any, where: str) -> None:
    """Holds if every key of the value is described."""
    schema = resolved(schema)
    if isinstance(value, list):
        for item in value:
            assert_described(schema["items"], item, f"{where}[]")
    elif isinstance(value, dict) and "properties" in schema:
        assert sorted(value.keys() - schema["properties"].keys()) == [], f"not described in {where}"
        for key, one in value.items():
            assert_described(schema["properties"][key], one, f"{where}.{key}")


@pytest.mark.parametrize(
    ("method", "path", "url"),
    [
        ("get", "/api/nodes", "/api/nodes"),
        ("get", "/api/nodes/{name}", "/api/nodes/web1"),
        ("get", "/api/v1/servers", "/api/v1/servers"),
        ("get", "/api/v1/servers/{server_id}", "/api/v1/servers/web1"),
        ("get", "/api/v1/metrics/sparkline/{server_id}/network", "/api/v1/metrics/sparkline/web1/network?period=99y"),
        ("get", "/api/stats", "/api/stats"),
        ("get", "/healthz", "/healthz"),
        ("delete", "/api/nodes/{name}", "/api/nodes/web1"),
        ("get", "/api/nodes/{name}", "/api/nodes/nobody"),
    ],
)
def test_every_key_of_an_answer_is_described(collector: Running, method: str, path: str, url: str) -> None:
    """What a page answers has no key that its description does not tell of."""
    report = sample(0, interface(rx=1000, master="br0", lower=("veth1",)))
    collector.samples(line_of(report), line_of(replace(report, timestamp=report.timestamp + 10_000)))
    answer = collector.request(method.upper(), url)
    content = DESCRIPTION["paths"][path][method]["responses"][str(answer.status)]["content"]
    assert_described(content["application/json"]["schema"], answer.json, url)
