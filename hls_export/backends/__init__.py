"""Backends: from a hardware graph to a project. Registered here; each imports its tool when it is used."""

from hls_export.backends.base import BACKENDS as BACKENDS
from hls_export.backends.base import DEFAULT_PART as DEFAULT_PART
from hls_export.backends.base import Backend as Backend
from hls_export.backends.base import Capabilities as Capabilities
from hls_export.backends.base import Project as Project
from hls_export.backends.base import Settings as Settings
from hls_export.backends.hls4ml import Hls4mlBackend
from hls_export.backends.rtl import RtlBackend
from hls_export.backends.tools import TOOLS

for _tool in TOOLS:
    BACKENDS.add(_tool.key, Hls4mlBackend(_tool))
BACKENDS.add("rtl", RtlBackend())
