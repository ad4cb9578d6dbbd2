"""What is measured: networks of one layer, made of the examples that every registered layer gives."""

from __future__ import annotations

import collections
import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from hls_export.qonnx import export
from torchq.nn import LAYERS, QInput
from torchq.nn.base import Example, QLayer

Array = npt.NDArray[np.float64]
Reference = Callable[[Array], Array]

SEED = 7


@dataclass(frozen=True, eq=False)
class Case:
    """One network, and what is right.

    Args:
        key: its row in the record.
        group: the heading of its row: the layer, or the tool that wrote the file.
        text: what it is, in a few words.
        write: writes its ONNX file, and returns what computes the outputs that are right.
        single: whether that computes in float32, so that samples must be such numbers.
    """

    key: str
    group: str
    text: str
    write: Callable[[Path], Reference]
    single: bool = False


def layer_cases() -> Iterator[Case]:
    """One case for each example of each registered layer, sorted by name.

    Example:
        >>> [case.key for case in layer_cases() if case.group == "QReLU"]
        ['QReLU-0', 'QReLU-1']
    """
    for name, layer in LAYERS.items():
        for i, example in enumerate(layer.examples()):
            yield Case(f"{name}-{i}", name, described(example), _writer(layer, example))


def described(example: Example) -> str:
    """The float modules, the quantizers by slot and the shape of a sample."""
    torch.manual_seed(SEED)
    modules = " and ".join(" ".join(str(module).split()) for module in example.modules())
    slots = ", ".join(f"{slot} {text}" for slot, text in example.slots.items())
    options = ", ".join(f"{key} {value}" for key, value in example.options.items())
    shape = "x".join(map(str, example.shape))
    return "; ".join(part for part in (modules, slots, options, f"reads {shape}") if part)


def model_of(layer: type[QLayer], example: Example) -> nn.Module:
    """The layer behind an input quantizer, its weights doubled so that some saturate.

    Args:
        layer: its class.
        example: what it is made from.
    """
    torch.manual_seed(SEED)
    made = layer.from_example(example)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(2)
    body = made if example.within is None else example.within(made)
    if layer.reads_integers:
        return nn.Sequential(collections.OrderedDict(body=body)).eval()
    return nn.Sequential(collections.OrderedDict(input=QInput(example.input), body=body)).eval()


def _writer(layer: type[QLayer], example: Example) -> Callable[[Path], Reference]:
    def write(path: Path) -> Reference:
        model = model_of(layer, example)
        export(model, path, example.shape)
        return torch_reference(model, whole=layer.reads_integers)

    return write


def torch_reference(model: nn.Module, *, whole: bool = False) -> Reference:
    """What a torch model computes in float64, in evaluation mode.

    Args:
        model: stays as it is.
        whole: whether it reads whole numbers.
    """
    double = copy.deepcopy(model).double().eval()

    def run(x: Array) -> Array:
        given = torch.from_numpy(x)
        with torch.no_grad():
            found = double(given.long() if whole else given)
        return np.asarray(getattr(found, "value", found), dtype=np.float64) + 0.0

    return run


def random_samples(shape: tuple[int, ...], n: int) -> Array:
    """Normal numbers, wide enough to leave the range of most formats.

    Args:
        shape: of a sample.
        n: how many.
    """
    random = np.random.default_rng([SEED, math.prod(shape)])
    return random.normal(size=(n, *shape)) * 3
