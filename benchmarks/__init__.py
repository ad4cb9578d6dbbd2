"""Measurements that back the project's figures; run one with ``python -m benchmarks.NAME``."""
