"""The kinds of nodes of a hardware graph, as frozen values; :mod:`hls_export.hardware` has them all."""
