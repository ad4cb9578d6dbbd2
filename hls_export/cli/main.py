"""The command group. ``hls-export model.onnx --out DIR`` is short for ``hls-export lower ...``."""

from __future__ import annotations

import importlib
import sys
from typing import Any, NoReturn

import click

from torchq.errors import TorchqError

COMMANDS = ("lower", "rescale", "verify")
DEFAULT = "lower"

OK, DIFFERS, BAD_INPUT, STOPPED = 0, 1, 2, 130


class _Commands(click.Group):
    """Imports ``hls_export.cli.<command>`` when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"hls_export.cli.{name}").command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"-h", "--help", "--version", *COMMANDS}
        if args and args[0] not in own:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="torchq")
def cli() -> None:
    """Turn a QONNX file into an FPGA project, bit for bit.

    `hls-export MODEL.onnx --out DIR` is short for `hls-export lower MODEL.onnx --out DIR`.
    """


def main() -> NoReturn:
    """Run the command line: 0 all equal, 1 a difference, 2 something that the user can mend."""
    sys.exit(guarded())


def guarded(arguments: list[str] | None = None) -> int:
    """Run with these arguments; errors become a sentence on stderr and an exit code."""
    try:
        result: Any = cli(args=arguments, standalone_mode=False)
    except click.exceptions.Exit as end:
        return int(end.exit_code)
    except click.ClickException as fault:
        fault.show()
        return BAD_INPUT
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; nothing was left half-written", err=True)
        return STOPPED
    except TorchqError as fault:
        click.echo(f"error: {fault}", err=True)
        return BAD_INPUT
    except MemoryError:
        click.echo("error: the model needs more memory than there is", err=True)
        return BAD_INPUT
    except BrokenPipeError:
        return OK
    return result if isinstance(result, int) else OK
