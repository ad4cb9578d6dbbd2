"""What AutoQKeras takes for granted: its default quantizers, and which Keras class is which torch module."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

Table = Mapping[str, int]
"""Quantizer text -> the bits that limits compare with."""

DEFAULT_CONFIG: Mapping[str, Table] = MappingProxyType(
    {
        "kernel": {
            "binary": 1,
            "stochastic_binary": 1,
            "ternary": 2,
            "stochastic_ternary": 2,
            "quantized_bits(2,1,1,alpha=1.0)": 2,
            "quantized_bits(4,0,1)": 4,
            "quantized_bits(8,0,1)": 8,
            "quantized_po2(4,1)": 4,
        },
        "bias": {"quantized_bits(4,0,1)": 4, "quantized_bits(8,3,1)": 8, "quantized_po2(4,8)": 4},
        "activation": {
            "binary": 1,
            "binary(alpha='auto_po2')": 1,
            "ternary": 2,
            "quantized_relu(3,1)": 3,
            "quantized_relu(4,2)": 4,
            "quantized_relu(8,2)": 8,
            "quantized_relu(8,4)": 8,
            "quantized_relu(16,8)": 16,
            "quantized_relu_po2(4,4)": 4,
        },
        "linear": {
            "binary": 1,
            "ternary": 2,
            "quantized_bits(4,1)": 4,
            "quantized_bits(8,2)": 8,
            "quantized_bits(16,10)": 16,
            "quantized_po2(6,4)": 6,
        },
    }
)
"""AutoQKeras's ``default_quantization_config``."""

CLASSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Linear": ("Dense", "Linear"),
        "Conv1d": ("Conv1D", "Conv1d"),
        "Conv2d": ("Conv2D", "Conv2d"),
        "ConvTranspose2d": ("Conv2DTranspose", "ConvTranspose2d"),
        "RNN": ("SimpleRNN", "RNN"),
        "LSTM": ("LSTM",),
        "GRU": ("GRU",),
        "ReLU": ("Activation", "ReLU"),
        "Tanh": ("Activation", "Tanh"),
        "Sigmoid": ("Activation", "Sigmoid"),
        "BatchNorm1d": ("BatchNormalization", "BatchNorm1d"),
        "BatchNorm2d": ("BatchNormalization", "BatchNorm2d"),
    }
)
"""torch module -> the names that ``limit`` may call it by; a grouped convolution is a ``DepthwiseConv2D``."""

RECURRENT = ("RNN", "LSTM", "GRU")
WITH_WEIGHTS = ("Linear", "Conv1d", "Conv2d", "ConvTranspose2d", *RECURRENT)
ACTIVATIONS = ("ReLU", "Tanh", "Sigmoid")
NORMS = ("BatchNorm1d", "BatchNorm2d")

DEFAULT_LIMIT = 8
"""The most bits where neither a limit nor its default says any."""

KNOWN_KEYS = (
    *("quantization_config", "limit", "goal", "tune_filters", "tune_filters_exceptions", "layer_indexes"),
    *("learning_rate_optimizer", "mode", "max_trials", "seed", "blocks", "schedule_block"),
    *("transfer_weights", "frozen_layers", "activation_bits", "output_dir", "overwrite"),
)
"""The arguments of ``AutoQKeras`` and ``AutoQKerasScheduler`` that a configuration may have."""

WITHOUT_EFFECT = ("transfer_weights", "frozen_layers", "activation_bits", "output_dir", "overwrite")
"""Those that change nothing here; ``docs/autoq.md`` says why."""

SEARCHERS: Mapping[str, str] = MappingProxyType(
    {"random": "random", "bayesian": "ax", "hyperband": "hyperband"}
)
"""``mode`` -> our searcher."""
