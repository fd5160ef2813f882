"""Imports point down only, and what is heavy is imported by the command that needs it."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import netstat_cli

ROOT = Path(netstat_cli.__file__).parent
PACKAGE = ROOT.name

ROWS = [
    ("__main__",),
    ("cli",),
    ("collector", "transport", "render"),
    ("reader", "report"),
    ("store", "sources", "importing"),
    ("traffic",),
    ("line",),
    ("status",),
    ("errors", "times"),
    ("__init__",),
]
"""Top to bottom. A room may import from its own row and from every lower one."""

HEAVY = ("requests", "psutil", "tabulate", "http.server", "ssl")


def module_name(path: Path) -> str:
    """The dotted name of a file of the package."""
    return ".".join([PACKAGE, *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports(name: str) -> Iterator[str]:
    """Every module that one imports, at its top or within a function."""
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in MODULES else base


def row(name: str) -> int:
    """The row of a module of the package."""
    room = name.split(".")[1] if "." in name else "__init__"
    return next((index for index, rooms in enumerate(ROWS) if room in rooms), -1)


OURS = {name: {other for other in imports(name) if other in MODULES} for name in MODULES}


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down_only(name: str) -> None:
    """A module imports from its own row and the rows below, within functions too; every module has a row."""
    assert row(name) >= 0, f"{name} has no row in ROWS"
    assert [] == sorted(other for other in OURS[name] if row(other) < row(name))


def test_there_is_no_import_cycle() -> None:
    """No module imports itself through others."""
    graph = {name: others - {name} for name, others in OURS.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_only_the_cli_knows_click() -> None:
    """Everything below the commands can be used without a command line."""
    users = {name for name in MODULES if any(other.split(".")[0] == "click" for other in imports(name))}
    assert set() == {name for name in users if not name.startswith(f"{PACKAGE}.cli")}


@pytest.mark.parametrize(
    "name", [name for name in MODULES if not name.startswith((f"{PACKAGE}.cli", f"{PACKAGE}.__main__"))]
)
def test_only_the_cli_prints_and_reads_the_environment(name: str) -> None:
    """Below the commands nothing writes to the terminal, and nothing looks into the environment."""
    nodes = list(ast.walk(ast.parse(MODULES[name].read_text())))
    called = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    assert set() == (called & {"print", "input"}) | (used & {"environ", "getenv", "basicConfig"})


def test_importing_the_cli_is_light() -> None:
    """`netcli --help` waits for no library that only one command needs."""
    code = f"import sys, {PACKAGE}.cli; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
