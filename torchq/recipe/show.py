"""What a person sees while a run works: one line a stage, a bar for what takes long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console


class Advance(Protocol):
    """Called after each unit of work."""

    def __call__(self, note: str, done: int | None = None) -> None:
        """Show ``note`` behind the bar; ``done`` units are done now, by default one more than before."""


class Show:
    """Prints to a terminal, or to a log file without control characters.

    Args:
        console: where to print; None is silence.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console

    def say(self, *parts: str | tuple[str, str]) -> None:
        """One line of texts, or of texts with their style; no text is taken for markup."""
        if self.console is not None:
            from rich.text import Text

            self.console.print(Text.assemble(*parts))

    def stage(self, name: str, text: str) -> None:
        """The head line of a stage."""
        self.say((f"{name:<10}", "bold cyan"), f" {text}")

    def fact(self, text: str, style: str = "") -> None:
        """What a stage found."""
        self.say((f"{'':<10} {text}", style))

    @contextmanager
    def bar(self, text: str, total: int, done: int = 0) -> Iterator[Advance]:
        """A progress bar of ``total`` units, of which ``done`` were done before."""
        if self.console is None:
            yield _silent
            return
        if not self.console.is_terminal:
            with self._lines(text, total, done) as advance:
                yield advance
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn(f"{'':<10} {text}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task(text, total=total, completed=done, note="")

            def advance(note: str, done: int | None = None) -> None:
                progress.update(task, note=note, advance=1 if done is None else None, completed=done)

            yield advance

    @contextmanager
    def _lines(self, text: str, total: int, done: int) -> Iterator[Advance]:
        """In a log: about ten lines instead of a bar."""
        count = done

        def advance(note: str, done: int | None = None) -> None:
            nonlocal count
            count = count + 1 if done is None else done
            if count == total or count % max(1, total // 10) == 0:
                self.fact(f"{text} {count}/{total}  {note}")

        yield advance


def _silent(note: str, done: int | None = None) -> None:
    """Shows nothing."""
    del note, done
