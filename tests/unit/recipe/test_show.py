"""What is printed is what was said: no text is taken for markup."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from torchq.recipe.show import Show

HOSTILE = "path [/bold] and [red] and alpha=[1,2]"


def test_brackets_are_printed_as_they_are() -> None:
    for terminal in (False, True):
        file = StringIO()
        show = Show(Console(file=file, force_terminal=terminal, width=120, color_system=None))
        show.stage("data", HOSTILE)
        show.fact(HOSTILE, "bold red")
        with show.bar("trials", 1) as advance:
            advance(HOSTILE)
        assert file.getvalue().count(HOSTILE) >= 3
