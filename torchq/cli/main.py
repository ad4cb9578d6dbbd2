"""The command group: one file a command, loaded when it is called; errors become sentences here."""

from __future__ import annotations

import errno
import importlib
import io
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

from torchq.errors import TorchqError, VerifyError

COMMANDS = ("run", "ls", "cat", "cp", "validate", "cost", "verify", "report")


class _Lazy(click.Group):
    """Imports ``torchq.cli.<command>`` only when that command is asked for."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"torchq.cli.{name}").command
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="torchq")
def cli() -> None:
    """Quantized PyTorch networks, the search for their best precision, and their firmware."""


def main() -> NoReturn:
    """Run the command line; exit code 2 and a sentence for what a user can mend, 1 if readings differ."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without "×" shows "?", and the run goes on
    sys.exit(guarded(cli))


def guarded(command: Callable[..., Any], arguments: list[str] | None = None) -> int:
    """Call a click command and turn errors into an exit code and a sentence on stderr."""
    try:
        result = command(args=arguments, standalone_mode=False)
    except click.exceptions.Exit as end:
        return int(end.exit_code)
    except click.ClickException as fault:
        fault.show()
        return 2
    except click.Abort:
        click.echo("stopped; the same command goes on where this one ended", err=True)
        return 130
    except KeyboardInterrupt:
        click.echo("stopped; the same command goes on where this one ended", err=True)
        return 130
    except VerifyError as fault:
        click.echo(f"error: {fault}", err=True)
        return 1
    except TorchqError as fault:
        click.echo(f"error: {fault}", err=True)
        return 2
    except BrokenPipeError:
        return 0
    except OSError as fault:
        if fault.errno != errno.ENOSPC:
            raise
        click.echo(
            f"error: {fault.filename or 'the disk'}: no space is left; "
            "free some and give the same command again, nothing that was finished is lost",
            err=True,
        )
        return 2
    return int(result) if isinstance(result, int) else 0
