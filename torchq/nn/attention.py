"""``QMultiheadAttention``: ``nn.MultiheadAttention`` with every number on a stated format."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchq.errors import TorchqError
from torchq.formats import Format
from torchq.nn.attention_slots import (
    ATTENTION,
    CONTEXT,
    DEFAULTS,
    OF_SOFTMAX,
    PARAMETERS,
    PROJECTED,
    SCORES,
    SLOTS,
    SelfAttention,
)
from torchq.nn.attention_work import attention_work
from torchq.nn.baked import Baked
from torchq.nn.base import Example, QLayer, Spec, quantized
from torchq.nn.registry import LAYERS
from torchq.nn.softmax import EXP, INVERSE, check_softmax_slot, table_softmax
from torchq.nn.types import holding, multiplied, summed_products, with_bias
from torchq.quantizers import Quantizer
from torchq.workload import TensorSpec, Workload


@LAYERS.register("QMultiheadAttention")
class QMultiheadAttention(QLayer, nn.MultiheadAttention):
    """A drop-in ``nn.MultiheadAttention`` made of sums of products and the tables of ``QSoftmax``.

    With ``d = embed_dim / num_heads``:

    1. ``q = q_query(W_q x + b_q)``, and so for ``k`` and ``v``. The factor ``1 / sqrt(d)`` is multiplied into
       the float ``W_q`` and ``b_q`` **before** they are quantized, so hardware has no such product, and
       nothing is rounded twice, whatever ``d`` is.
    2. ``s = q k``, exact sums of ``d`` products, then ``a = softmax(q_scores(s))`` by two tables; see
       :class:`~torchq.nn.softmax.QSoftmax` for its steps and for the slots ``exp``, ``sum``, ``inverse``.
       ``attention`` is its output.
    3. ``c = q_context(a v)``, after exact sums.
    4. ``y = q_output(W_out c + b_out)``; without output quantizer the exact sum leaves.

    Query, key and value may be different tensors of ``embed_dim`` values. Masks are refused: hardware reads
    samples of one length.

    Args:
        embed_dim: as in ``nn.MultiheadAttention``.
        num_heads: likewise.
        dropout: of the attention, in training.
        bias: whether both projections have a bias.
        batch_first: whether the first axis counts the samples.
        weight_quantizer: of ``in_proj_weight``, the rows of the query times ``1 / sqrt(d)``; text, a
            quantizer (copied) or a ``FixedPoint``. Scales per channel are per row.
        bias_quantizer: of ``in_proj_bias``, likewise.
        out_weight_quantizer: of ``out_proj.weight``.
        out_bias_quantizer: of ``out_proj.bias``.
        query_quantizer: ``ap_fixed<8,3>`` unless told otherwise.
        key_quantizer: likewise.
        value_quantizer: likewise.
        scores_quantizer: the softmax's input; ``ap_fixed<10,4>``, at most 12 bits.
        exp_quantizer: of the exponentials; ``ap_ufixed<10,1>``.
        sum_quantizer: of their sum; None for the rule of ``QSoftmax``.
        inverse_quantizer: of the inverse of that; ``ap_ufixed<12,1>``.
        attention_quantizer: of the softmax's output; ``ap_ufixed<8,0>``.
        context_quantizer: ``ap_fixed<8,3>``.
        output_quantizer: of the result; None leaves the exact sum.
        device: as in ``nn.MultiheadAttention``.
        dtype: as in ``nn.MultiheadAttention``.

    Raises:
        QuantizerError: a text that is no quantizer, or one that cannot stand in its slot of the softmax.

    Example:
        >>> w, b = "quantized_bits(6,0,alpha=1)", "quantized_bits(6,1,alpha=1)"
        >>> layer = QMultiheadAttention(8, 2, batch_first=True, weight_quantizer=w, bias_quantizer=b,
        ...                             out_weight_quantizer=w, out_bias_quantizer=b)
        >>> x = torch.zeros(3, 5, 8)
        >>> y, attention = layer(x, x, x)
        >>> y.shape, attention[0, 0].tolist()
        (torch.Size([3, 5, 8]), [0.19921875, 0.19921875, 0.19921875, 0.19921875, 0.19921875])
    """

    kind: ClassVar[str] = "attention"
    slots: ClassVar[tuple[str, ...]] = SLOTS
    defaults: ClassVar[Mapping[str, str]] = DEFAULTS
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.MultiheadAttention,)

    weight_quantizer: Quantizer | None
    bias_quantizer: Quantizer | None
    out_weight_quantizer: Quantizer | None
    out_bias_quantizer: Quantizer | None
    output_quantizer: Quantizer | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        batch_first: bool = False,
        *,
        weight_quantizer: Spec | None = None,
        bias_quantizer: Spec | None = None,
        out_weight_quantizer: Spec | None = None,
        out_bias_quantizer: Spec | None = None,
        query_quantizer: Spec | None = PROJECTED,
        key_quantizer: Spec | None = PROJECTED,
        value_quantizer: Spec | None = PROJECTED,
        scores_quantizer: Spec | None = SCORES,
        exp_quantizer: Spec | None = EXP,
        sum_quantizer: Spec | None = None,
        inverse_quantizer: Spec | None = INVERSE,
        attention_quantizer: Spec | None = ATTENTION,
        context_quantizer: Spec | None = CONTEXT,
        output_quantizer: Spec | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        nn.MultiheadAttention.__init__(
            self, embed_dim, num_heads, dropout, bias, batch_first=batch_first, device=device, dtype=dtype
        )
        given = (
            weight_quantizer,
            bias_quantizer,
            out_weight_quantizer,
            out_bias_quantizer,
            query_quantizer,
            key_quantizer,
            value_quantizer,
            scores_quantizer,
            exp_quantizer,
            sum_quantizer,
            inverse_quantizer,
            attention_quantizer,
            context_quantizer,
            output_quantizer,
        )
        for slot, spec in zip(self.slots, given, strict=True):
            self.set_quantizer(slot, spec, self.in_proj_weight)

    def set_quantizer(self, slot: str, spec: Spec | None, like: Tensor | None = None) -> None:
        """Put a quantizer into a slot, and see that it fits the softmax."""
        super().set_quantizer(slot, spec, like)
        quantizer = self.quantizer(slot)
        if quantizer is not None and slot in ("weight", "out_weight"):
            quantizer.channel_axis(0)
        if quantizer is not None and slot in OF_SOFTMAX:
            check_softmax_slot(type(self).__name__, slot, quantizer)

    def has_bias(self) -> bool:
        """Whether the projections have a bias."""
        return self.in_proj_bias is not None

    def missing_slots(self) -> tuple[str, ...]:
        """All but ``sum`` and ``output``, and those of absent biases."""
        optional = ("sum", "output") if self.has_bias() else ("sum", "output", "bias", "out_bias")
        return tuple(slot for slot in super().missing_slots() if slot not in optional)

    def slot_of(self, parameter: str) -> str:
        """``weight`` and ``bias`` for the projection in, ``out_weight`` and ``out_bias`` for that out."""
        return PARAMETERS[parameter]

    # ------------------------------------------------------------------ what it computes

    @property
    def scale_folded(self) -> bool:
        """Whether the query's rows have the factor in them: the state says so, lest it enters twice."""
        return "folded_scale" in self._buffers

    def _scaled(self, values: Tensor) -> Tensor:
        """The rows of the query times ``1 / sqrt(d)``; done once and for all in a frozen layer."""
        if self.scale_folded:
            return values
        query, others = values[: self.embed_dim], values[self.embed_dim :]
        return torch.cat([query * self.head_dim**-0.5, others])

    def quantized_parameter(self, name: str) -> Tensor | None:
        """A weight or bias as it is computed with, by its name in ``state_dict``; None if there is none."""
        if name.endswith("bias") and not self.has_bias():
            return None
        values: Tensor = self.get_parameter(name)
        values = self._scaled(values) if name.startswith("in_proj") else values
        return quantized(values, self.quantizer(PARAMETERS[name]))

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The attention.

        Args:
            query: shape ``[length, batch, embed_dim]``, batch first with ``batch_first``, or without batch.
            key: likewise; its length may be another.
            value: of the shape of ``key``.
            key_padding_mask: refused.
            need_weights: whether the second result is the attention, else None.
            attn_mask: refused.
            average_attn_weights: whether that is its mean over the heads.
            is_causal: refused.

        Raises:
            TorchqError: a mask.
        """
        asked = {"key_padding_mask": key_padding_mask is not None, "attn_mask": attn_mask is not None}
        for name, given in {**asked, "is_causal": is_causal}.items():
            if given:
                raise TorchqError(
                    f"QMultiheadAttention has no masks, got {name}",
                    hint="cut the samples to one length, or leave this layer float",
                )
        single = query.ndim == 2
        given_tensors = (query, key, value)
        if single:
            given_tensors = tuple(x.unsqueeze(0) for x in given_tensors)  # type: ignore[assignment]
        elif not self.batch_first:
            given_tensors = tuple(x.transpose(0, 1) for x in given_tensors)  # type: ignore[assignment]
        y, attention = self._attend(*given_tensors)
        if single:
            y, attention = y.squeeze(0), attention.squeeze(0)
        elif not self.batch_first:
            y = y.transpose(0, 1)
        if not need_weights:
            return y, None
        return y, attention.mean(-3) if average_attn_weights else attention

    def _attend(self, *given: Tensor) -> tuple[Tensor, Tensor]:
        """Result ``[batch, length, embed_dim]`` and attention ``[batch, heads, length, key's length]``."""
        weights = cast("Tensor", self.quantized_parameter("in_proj_weight")).chunk(3)
        bias = self.quantized_parameter("in_proj_bias")
        biases = (None, None, None) if bias is None else bias.chunk(3)
        heads = [
            self._heads(quantized(F.linear(x, w, b), self.quantizer(slot)))
            for x, w, b, slot in zip(given, weights, biases, ("query", "key", "value"), strict=True)
        ]
        q, k, v = heads
        attention = table_softmax(
            q @ k.transpose(-1, -2),
            -1,
            *(self.quantizer(slot) for slot in ("scores", "exp", "sum", "inverse", "attention")),
        )
        attention = F.dropout(attention, self.dropout, self.training)
        context = quantized((attention @ v).transpose(1, 2).flatten(2), self.quantizer("context"))
        out = cast("Tensor", self.quantized_parameter("out_proj.weight"))
        total = F.linear(context, out, self.quantized_parameter("out_proj.bias"))
        return quantized(total, self.output_quantizer), attention

    def _heads(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], self.num_heads, self.head_dim).transpose(1, 2)

    # ------------------------------------------------------------------ what graph, cost and export ask

    @property
    def batch_axis(self) -> int:
        """0 with ``batch_first``, else 1."""
        return 0 if self.batch_first else 1

    def refusal(self, shape: tuple[int, ...]) -> str | None:
        """Samples must be ``(length, embed_dim)``."""
        if len(shape) == 2 and shape[1] == self.embed_dim:
            return None
        return f"needs samples of shape (length, {self.embed_dim}), got samples of shape {shape}"

    def output_format(self, source: Format | None) -> Format | None:  # noqa: ARG002
        """That of the output quantizer, or one that holds every sum of the last projection."""
        if self.output_quantizer is not None:
            return self.output_quantizer.format
        weight, context = self.parameter_format("out_proj.weight"), self.slot_format("context")
        total = summed_products(multiplied(weight, context), self.embed_dim)
        if self.has_bias():
            return with_bias(total, self.parameter_format("out_proj.bias"))
        return holding(total, weight, context, self.embed_dim)

    def item_format(self, path: tuple[int, ...], sources: Sequence[TensorSpec]) -> Format | None:
        """That of the output for item 0; the mean of the attention over the heads has none."""
        return self.output_format(sources[0].format) if path == (0,) else None

    def item_quantized(self, path: tuple[int, ...]) -> bool:
        """The output, if it has a quantizer."""
        return path == (0,) and self.makes_grid

    def slot_format(self, slot: str) -> Format | None:
        """The format of what a slot's quantizer makes."""
        quantizer = self.quantizer(slot)
        return None if quantizer is None else quantizer.format

    def parameter_format(self, name: str) -> Format | None:
        """The format of a parameter as it is now: a scale may follow from the values."""
        with torch.no_grad():
            self.quantized_parameter(name)
        return self.slot_format(PARAMETERS[name])

    def workloads(
        self, name: str, inputs: tuple[TensorSpec, ...], output: TensorSpec
    ) -> tuple[Workload, ...]:
        """Three projections, scores, softmax, context, and the projection out, which has the layer's name."""
        return attention_work(self, name, inputs, output)

    # ------------------------------------------------------------------ made and frozen

    def frozen(self) -> QMultiheadAttention:
        """A copy whose parameters stand on their grids; the query's rows have the factor in them."""
        layer = copy.deepcopy(self).eval()
        names = [name for name, _ in layer.named_parameters()]
        with torch.no_grad():
            values = {name: layer.quantized_parameter(name) for name in names}
        for name, value in values.items():
            owner = layer.out_proj if name.startswith("out_proj") else layer
            assert value is not None  # noqa: S101 - told to the type checker
            setattr(owner, name.rpartition(".")[2], nn.Parameter(value, requires_grad=False))
            quantizer = layer.quantizer(PARAMETERS[name])
            if quantizer is not None:
                layer.register_module(f"{PARAMETERS[name]}_quantizer", Baked(quantizer))
        scale = torch.tensor(layer.head_dim**-0.5).to(layer.in_proj_weight)
        layer.register_buffer("folded_scale", scale)
        return layer.requires_grad_(False)

    def dequantized(self) -> nn.Module:
        """``nn.MultiheadAttention`` with copies of the parameters.

        Raises:
            TorchqError: the layer is frozen, and its query has the factor ``1 / sqrt(d)`` in it.
        """
        if self.scale_folded:
            raise TorchqError("a frozen QMultiheadAttention does not go back to float")
        twin = nn.MultiheadAttention(
            self.embed_dim, self.num_heads, self.dropout, self.has_bias(), batch_first=self.batch_first
        )
        twin.to(self.in_proj_weight)
        twin.load_state_dict({name: p.detach() for name, p in self.named_parameters()})
        return twin.train(self.training)

    @classmethod
    def from_float(
        cls, modules: Sequence[nn.Module], quantizers: Mapping[str, Spec | None], **options: Any
    ) -> Self:
        """The quantized layer for one of torch, with the same parameter objects.

        ``out_weight`` follows ``weight`` and ``out_bias`` follows ``bias`` where they are left out.

        Raises:
            TorchqError: other sizes of key or value, or additional keys.
        """
        (module,) = cast("Sequence[nn.MultiheadAttention]", modules)
        odd = {
            "kdim or vdim": not module._qkv_same_embed_dim,
            "add_bias_kv": module.bias_k is not None,
            "add_zero_attn": module.add_zero_attn,
        }
        for name, has in odd.items():
            if has:
                raise TorchqError(f"QMultiheadAttention has no {name}", hint="leave this layer float")
        sizes, bias = (module.embed_dim, module.num_heads, module.dropout), module.in_proj_bias is not None
        layer = cls(*sizes, bias, bool(module.batch_first), device="meta", **options)
        layer.in_proj_weight, layer.in_proj_bias = module.in_proj_weight, module.in_proj_bias
        layer.out_proj.weight, layer.out_proj.bias = module.out_proj.weight, module.out_proj.bias
        given: dict[str, Spec | None] = dict(quantizers)
        for follower, leader in (("out_weight", "weight"), ("out_bias", "bias")):
            if leader in given:
                given.setdefault(follower, given[leader])
        for slot in cls.slots:
            layer.set_quantizer(slot, given.get(slot, cls.defaults.get(slot)), module.in_proj_weight)
        return layer.train(module.training)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """With and without bias and output quantizer."""
        w, b = "quantized_bits(6,0,alpha=1)", "quantized_bits(6,1,alpha=1)"
        return (
            Example(
                lambda: (nn.MultiheadAttention(8, 2, batch_first=True),),
                {"weight": w, "bias": b, "output": "quantized_bits(8,2,alpha=1)"},
                (5, 8),
                within=SelfAttention,
            ),
            Example(
                lambda: (nn.MultiheadAttention(6, 3, bias=False, batch_first=True),),
                {"weight": w},
                (4, 6),
                within=SelfAttention,
            ),
        )
