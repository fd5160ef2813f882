"""Values -> a sparkline: one glyph a value, blank where nothing is known."""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"
ASCII = " _.:-=+*#"


def sparkline(values: Sequence[float | None], top: float, height: int = 1, ascii_only: bool = False) -> list[str]:
    """`height` lines, the upper first, of as many characters as there are values. `top` is the value that fills a
    column; 0 is the lowest glyph; None is blank."""
    glyphs = ASCII if ascii_only else BLOCKS
    steps = len(glyphs) - 1
    levels = [_level(value, top, height * steps) for value in values]
    return [
        "".join(glyphs[min(max(level - row * steps, 0), steps)] for level in levels)
        for row in range(height - 1, -1, -1)
    ]


def _level(value: float | None, top: float, most: int) -> int:
    """How many steps of the column are filled: none for what is unknown, else at least one."""
    if value is None:
        return 0
    return 1 + min(round(value / top * (most - 1)), most - 1) if top > 0 else 1
