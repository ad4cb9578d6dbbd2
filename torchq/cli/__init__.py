"""The ``torchq`` command."""

from torchq.cli.main import main as main
