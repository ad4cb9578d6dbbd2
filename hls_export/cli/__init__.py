"""``hls-export``: from an ONNX file to a verified project, and nothing else is needed."""

from hls_export.cli.main import cli as cli
from hls_export.cli.main import guarded as guarded
from hls_export.cli.main import main as main
