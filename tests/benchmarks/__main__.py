"""Prints the table of ratios: `python -m tests.benchmarks`, or one part of it: `python -m tests.benchmarks main_job`.

Needs the extra `bench`, and root for the sample of a thousand interfaces.
"""

from __future__ import annotations

import importlib
import sys

from tests.benchmarks.table import show

PARTS = ("lines", "main_job", "load_job", "long_history")

if __name__ == "__main__":
    chosen = sys.argv[1:] or PARTS
    print(show([row for part in chosen for row in importlib.import_module(f"tests.benchmarks.{part}").rows()]))
