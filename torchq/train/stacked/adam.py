"""The numbers of AdamW (arXiv:1711.05101)."""

from __future__ import annotations

BETAS = (0.9, 0.999)
ADAM_EPSILON = 1e-8
"""What torch's Adam has by default."""
