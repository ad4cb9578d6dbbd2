"""``quantize``: from a float model and a scheme to a quantized model."""

from __future__ import annotations

import copy
from typing import Any, Literal, cast

from torch import Tensor, fx, nn

from torchq.convert.check import check_scheme
from torchq.convert.report import hardware_reasons
from torchq.convert.resize import resize
from torchq.convert.rewrite import (
    Chain,
    chains,
    class_names,
    functions_to_modules,
    layer_of,
    leave_out,
    module_of,
    put_first,
)
from torchq.convert.slots import slot_origin, slot_text
from torchq.errors import GraphError, SchemeError, TorchqError
from torchq.graph import Step, Symbolic, read_steps, symbolic
from torchq.graph.shapes import reads_integers, sample_shape, shapes
from torchq.nn import QInput, QLayer, QReLU
from torchq.nn.folded import Folding, fold_batch_norm
from torchq.prune import carry_masks
from torchq.quantizers import make
from torchq.quantizers.adaptive import quantized_adaptive
from torchq.quantizers.bits import quantized_bits
from torchq.quantizers.relu import quantized_relu
from torchq.scheme import ANY, Scheme

INPUT_QUANTIZER = "input_quantizer"
"""The name of the module that quantizes the model's input."""


def quantize(
    model: nn.Module,
    scheme: Scheme,
    example: Tensor | tuple[int, ...] | None = None,
    *,
    fold: Literal["train", "now", "apart"] = "train",
    folding: Folding = "ema_stats",
    freeze_delay: int | None = None,
    prefer_adaptive: bool = False,
    exportable: bool = False,
) -> fx.GraphModule:
    """A quantized copy of a float model; the model itself stays as it is.

    ``scheme.units`` is applied first: the strongest neurons are kept. Then every layer that
    ``torchq.nn.LAYERS`` has a twin for is replaced: ``Linear`` by ``QLinear``, ``ReLU`` (or a call of
    ``F.relu``) by ``QReLU``, ``+``, ``*`` and ``torch.cat`` by ``QAdd``, ``QMul`` and ``QConcat``, ... A
    batch norm after a layer with weights is folded into it, and a :class:`~torchq.nn.QInput` named
    ``input_quantizer`` comes first, unless the model reads whole numbers. Names, parameters, device, dtype
    and mode are those of the model; the calls of ``forward`` are kept as traced, and a module that is called
    several times stays one module with one set of quantizers. A layer that the scheme has no quantizer for
    stays float; :func:`~torchq.convert.left_float` lists these with the reason.

    Args:
        model: a float model, or one that has some quantized layers already.
        scheme: what goes where.
        example: a batch ``[n, ...]`` or the shape of one sample; if given, the shapes are checked as well.
        fold: ``"train"`` keeps the batch norm's parameters and statistics for training
            (:class:`~torchq.nn.QLinearBatchNorm1d`); ``"now"`` folds its running statistics into the float
            weights, and is done with it; ``"apart"`` folds nothing: batch norms become layers of their own
            (:class:`~torchq.nn.QBatchNorm1d`), with their slots in the scheme.
        folding: for ``"train"``: which statistics the weights are folded with in training.
        freeze_delay: for ``"train"``: training steps until the statistics stay as they are; None for never.
        prefer_adaptive: the outputs of relus get ``quantized_adaptive`` in the place of ``quantized_relu``
            and ``quantized_bits``: as many bits, and a range that follows the values.
        exportable: the model shall become hardware: a quantizer whose values stand on no hardware grid (a
            scale that is no power of two, u-law) is refused here, and not at export.

    Returns:
        A ``torch.fx.GraphModule`` with the model's module names.

    Raises:
        GraphError: the model cannot be traced, or a batch norm cannot be folded.
        SchemeError: the scheme does not fit the model, or not hardware with ``exportable``.

    Example:
        >>> model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 5))
        >>> scheme = Scheme.uniform("quantized_bits(6,0,alpha=1)", "quantized_bits(6,0,alpha=1)",
        ...                         output="quantized_relu(6)", input="quantized_bits(16,6,alpha=1)")
        >>> [type(layer).__name__ for layer in quantize(model, scheme).children()]
        ['QLinear', 'QReLU', 'QLinear', 'QInput']
    """
    if fold not in ("train", "now", "apart"):
        raise SchemeError(f"fold must be 'train', 'now' or 'apart', got {fold!r}")
    traced = symbolic(copy.deepcopy(model))
    result = fx.GraphModule(traced.root, traced.graph, type(model).__name__)
    functions_to_modules(result, traced)
    found = read_steps(result, result.graph)
    check_scheme(found, scheme, folded=fold != "apart")
    resize(found, scheme.units)
    options: dict[str, Any] | None = (
        {"folding": folding, "freeze_delay": freeze_delay} if fold == "train" else None
    )
    for chain in chains(found, alone=fold == "apart"):
        _convert(result, found, chain, scheme, options, prefer_adaptive)
    for step in found.steps:
        if isinstance(step.module, QLayer):
            _requantize(found, step, step.module, scheme)
    _quantize_input(result, found, scheme)
    result.delete_all_unused_submodules()
    result.graph.lint()
    result.recompile()
    carry_masks(model, result)
    if exportable and (reasons := hardware_reasons(result)):
        raise SchemeError(
            "\n".join(f"{slot}: {reason}" for slot, reason in reasons.items()),
            hint="or quantize without exportable, for torch alone",
        )
    if example is not None:
        found = read_steps(result, result.graph)
        shapes(found, sample_shape(found, example))
    return result.train(model.training)


def _convert(
    result: fx.GraphModule,
    found: Symbolic,
    chain: Chain,
    scheme: Scheme,
    options: dict[str, Any] | None,
    prefer_adaptive: bool,
) -> None:
    """Put the quantized layer into the place of the first module, and leave the others out."""
    steps, layer = chain
    first, *others = steps
    if not layer.always_converted and _text(found, steps, layer, layer.slots[0], scheme) is None:
        return
    texts = {slot: text for slot in layer.slots if (text := _text(found, steps, layer, slot, scheme))}
    if prefer_adaptive and issubclass(layer, QReLU):
        texts["output"] = _adaptive(texts["output"])
    modules = [module_of(step) for step in steps]
    try:
        if others and options is None:
            folded = fold_batch_norm(*cast("tuple[Any, Any]", tuple(modules)))
            plain = layer_of(first)
            assert plain is not None  # noqa: S101 - told to the type checker
            made: QLayer = plain.from_float([folded], texts)
        else:
            made = layer.from_float(modules, texts, **(options if others and options else {}))
    except TorchqError as fault:
        raise GraphError(f"{' and '.join(s.name for s in steps)}: {fault.message}", fault.hint) from fault
    result.set_submodule(str(first.target), _beside(found, made))
    for step in others:
        leave_out(result, step)


def _text(found: Symbolic, steps: list[Step], layer: type[QLayer], slot: str, scheme: Scheme) -> str | None:
    """The quantizer that goes into a slot of the layer that stands for these steps."""
    origin = slot_origin(found, steps[0], steps[-1], layer, slot, scheme)
    return None if origin is None else slot_text(origin, steps[0].name, slot, scheme)


def _requantize(found: Symbolic, step: Step, layer: QLayer, scheme: Scheme) -> None:
    """Quantizers for a layer that is quantized already, where the scheme means it and not just any."""
    if isinstance(layer, QInput) or step.name != step.target:
        return
    classes = class_names(found, step)
    for slot in layer.slots:
        key = scheme.pattern(step.name, slot, classes)
        if key is not None and key != ANY:
            layer.set_quantizer(slot, scheme.layers[key][slot], next(found.root.parameters(), None))


def _adaptive(text: str) -> str:
    """The quantizer of as many bits whose range follows the activation, for one of a fixed range."""
    quantizer = make(text)
    if not isinstance(quantizer, quantized_relu | quantized_bits):
        return text
    return str(quantized_adaptive(quantizer.name, quantizer.bits))


def _quantize_input(result: fx.GraphModule, found: Symbolic, scheme: Scheme) -> None:
    if scheme.input is None:
        return
    if reads_integers(found):
        raise SchemeError(
            f"{type(found.root).__name__} reads whole numbers, which need no quantizer",
            hint="leave the scheme's input out",
        )
    for reader in found.readers(found.input):
        if isinstance(reader.module, QInput):
            reader.module.set_quantizer("output", scheme.input, next(found.root.parameters(), None))
            return
    put_first(result, INPUT_QUANTIZER, _beside(found, QInput(scheme.input)))


def _beside(found: Symbolic, layer: QLayer) -> QLayer:
    """A layer without parameters, sent to the device and dtype of those that the model has."""
    like = next(found.root.parameters(), None)
    if like is None or next(layer.parameters(), None) is not None:
        return layer
    return layer.to(device=like.device, dtype=like.dtype)
