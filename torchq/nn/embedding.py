"""``QEmbedding``: a table of quantized vectors, read by whole numbers."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchq.errors import TorchqError
from torchq.formats import Format
from torchq.nn.baked import Baked
from torchq.nn.base import Example, QLayer, Spec, parameter_spec, quantized
from torchq.nn.registry import LAYERS
from torchq.nn.types import fixed
from torchq.quantizers import Quantizer
from torchq.workload import TableSpec, TensorSpec, Workload

ARGUMENTS = ("num_embeddings", "embedding_dim", "padding_idx", "max_norm", "scale_grad_by_freq", "sparse")


@LAYERS.register("QEmbedding")
class QEmbedding(QLayer, nn.Embedding):
    """A drop-in ``nn.Embedding`` whose table, and what leaves it, go through quantizers.

    It multiplies nothing: a row is looked up. A scale per channel is one for each of the ``embedding_dim``
    columns. What it reads are whole numbers, which need no quantizer.

    Args:
        num_embeddings: rows of the table.
        embedding_dim: values of a row.
        padding_idx: the row that stays as it is in training.
        max_norm: must be None: rows that change while they are read stand on no grid.
        scale_grad_by_freq: as in torch.
        sparse: must be False: gradients pass a quantizer as a whole.
        weight_quantizer: of the table, shape ``[num_embeddings, embedding_dim]``.
        output_quantizer: of the output; None leaves the table's values.
        device: as in torch.
        dtype: as in torch.

    Raises:
        TorchqError: ``max_norm`` or ``sparse``.

    Example:
        >>> layer = QEmbedding(10, 4, weight_quantizer="quantized_bits(4,1,alpha=1)")
        >>> layer(torch.tensor([[1, 9]])).shape
        torch.Size([1, 2, 4])
    """

    kind: ClassVar[str] = "embedding"
    slots: ClassVar[tuple[str, ...]] = ("weight", "output")
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.Embedding,)
    needs_grid: ClassVar[bool] = False
    reads_integers: ClassVar[bool] = True

    weight_quantizer: Quantizer | None
    output_quantizer: Quantizer | None

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        *,
        weight_quantizer: Spec | None = None,
        output_quantizer: Spec | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if max_norm is not None or sparse:
            raise TorchqError(
                "QEmbedding quantizes the whole table, so it has no max_norm and no sparse gradients",
                hint="use max_norm=None and sparse=False",
            )
        nn.Embedding.__init__(
            self,
            num_embeddings,
            embedding_dim,
            padding_idx,
            scale_grad_by_freq=scale_grad_by_freq,
            device=device,
            dtype=dtype,
        )
        self.set_quantizer("weight", weight_quantizer, self.weight)
        self.set_quantizer("output", output_quantizer, self.weight)

    def quantized_weight(self) -> Tensor:
        """The table that it reads, shape ``[num_embeddings, embedding_dim]``."""
        return quantized(self.weight, self.weight_quantizer)

    def forward(self, input: Tensor) -> Tensor:
        """The rows.

        Args:
            input: whole numbers, any shape.

        Returns:
            Shape ``[*input.shape, embedding_dim]``.

        Raises:
            TorchqError: a tensor of floats.
        """
        if input.is_floating_point():
            came = str(input.dtype).removeprefix("torch.")
            raise TorchqError(
                f"QEmbedding reads whole numbers, got {came}", hint="convert them first, with x.long()"
            )
        rows = F.embedding(
            input, self.quantized_weight(), self.padding_idx, scale_grad_by_freq=self.scale_grad_by_freq
        )
        return quantized(rows, self.output_quantizer)

    @property
    def makes_grid(self) -> bool:
        """Whether a quantizer made what leaves it: that of the output, or of the table."""
        return self.output_quantizer is not None or self.weight_quantizer is not None

    def missing_slots(self) -> tuple[str, ...]:
        """``weight`` is needed; without ``output`` the table's values leave."""
        return () if self.weight_quantizer is not None else ("weight",)

    def output_format(self, source: Format | None) -> Format | None:  # noqa: ARG002
        """The output quantizer's format, or the widest of the table."""
        if self.output_quantizer is not None:
            return self.output_quantizer.format
        if self.weight_quantizer is None:
            return None
        with torch.no_grad():
            self.quantized_weight()
        return fixed(self.weight_quantizer.format)

    def workload(self, name: str, inputs: tuple[TensorSpec, ...], output: TensorSpec) -> Workload:
        """No multiplication; the table is its weight, of which one row is read for each number."""
        with torch.no_grad():
            weight = self.quantized_weight()
        format = None if self.weight_quantizer is None else self.weight_quantizer.format
        spec = parameter_spec("weight", weight, format)
        width = spec.bits // max(spec.shape[0], 1)  # rows of one table are equally wide
        rows = TableSpec("rows", spec.shape[0], width, reads=inputs[0].count)
        return Workload(name, self.kind, inputs, output, weight=spec, tables=(rows,))

    def frozen(self) -> QEmbedding:
        """A copy whose table stands on its grid."""
        layer = copy.deepcopy(self).eval()
        with torch.no_grad():
            layer.weight = nn.Parameter(layer.quantized_weight(), requires_grad=False)
        if layer.weight_quantizer is not None:
            layer.register_module("weight_quantizer", Baked(layer.weight_quantizer))
        return layer.requires_grad_(False)

    @classmethod
    def from_float(
        cls, modules: Sequence[nn.Module], quantizers: Mapping[str, Spec | None], **options: Any
    ) -> Self:
        """The quantized layer for one ``nn.Embedding``, with the same table.

        Raises:
            TorchqError: ``max_norm`` or ``sparse``.
        """
        (given,) = cast("Sequence[nn.Embedding]", modules)
        arguments = {name: getattr(given, name) for name in ARGUMENTS}
        layer = cls(**arguments, device="meta", **options)
        layer.weight = given.weight
        for slot, spec in quantizers.items():
            layer.set_quantizer(slot, spec, given.weight)
        return layer.train(given.training)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """With and without an output quantizer."""
        weight = "quantized_bits(4,1,alpha=1)"
        return (
            Example(lambda: (nn.Embedding(8, 3),), {"weight": weight}, (5,)),
            Example(
                lambda: (nn.Embedding(8, 3, padding_idx=0),),
                {"weight": weight, "output": "quantized_bits(3,1,alpha=1)"},
                (5,),
            ),
        )
