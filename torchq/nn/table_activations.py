"""The activations of torch as tables: ``QTanh``, ``QSigmoid``, ``QSiLU``, ..."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from torchq.nn.base import Example, Spec
from torchq.nn.registry import LAYERS
from torchq.nn.table import ADDRESS, QTable


class _Named(QTable):
    """A table whose function follows from the class.

    Args:
        output_quantizer: of the values in the table; text, a quantizer (copied) or a ``FixedPoint``.
        input_quantizer: of the addresses; ``ap_fixed<10,4>`` unless told otherwise.
        **parameters: those of the torch layer.
    """

    named: ClassVar[str]

    def __init__(
        self,
        output_quantizer: Spec | None = None,
        *,
        input_quantizer: Spec | None = ADDRESS,
        **parameters: Any,
    ) -> None:
        super().__init__(self.named, output_quantizer, input_quantizer=input_quantizer, **parameters)

    @classmethod
    def parameters_of(cls, module: nn.Module) -> dict[str, Any]:
        """The attributes of the torch layer that change its function."""
        return {name: getattr(module, name) for name in cls.numbers}

    numbers: ClassVar[tuple[str, ...]] = ()
    """The attributes of the torch layer that the function takes."""

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """With the default addresses, and with few."""
        (float_layer,) = cls.replaces
        return (
            Example(lambda: (float_layer(),), {"output": "quantized_bits(6,2,alpha=1)"}, (5,)),
            Example(
                lambda: (float_layer(),),
                {"output": "quantized_bits(9,1,alpha=1)", "input": "quantized_bits(5,2,alpha=1)"},
                (3, 4),
            ),
        )


@LAYERS.register("QTanh")
class QTanh(_Named):
    """``nn.Tanh`` by a table; see :class:`~torchq.nn.table.QTable`.

    Example:
        >>> import torch
        >>> QTanh("quantized_bits(6,0,alpha=1)")(torch.tensor([0.5])).item()
        0.46875
    """

    named: ClassVar[str] = "tanh"
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.Tanh,)


@LAYERS.register("QSigmoid")
class QSigmoid(_Named):
    """``nn.Sigmoid`` by a table; see :class:`~torchq.nn.table.QTable`.

    Example:
        >>> import torch
        >>> QSigmoid("quantized_relu(8)")(torch.tensor([0.0, 9.0])).tolist()
        [0.5, 0.99609375]
    """

    named: ClassVar[str] = "sigmoid"
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.Sigmoid,)


@LAYERS.register("QSiLU")
class QSiLU(_Named):
    """``nn.SiLU`` by a table; see :class:`~torchq.nn.table.QTable`.

    Example:
        >>> import torch
        >>> QSiLU("quantized_bits(8,3,alpha=1)")(torch.tensor([-1.0, 2.0])).tolist()
        [-0.25, 1.75]
    """

    named: ClassVar[str] = "silu"
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.SiLU,)


@LAYERS.register("QGELU")
class QGELU(_Named):
    """``nn.GELU`` by a table; see :class:`~torchq.nn.table.QTable`.

    Args:
        approximate: ``"none"`` or ``"tanh"``, as in torch.

    Example:
        >>> import torch
        >>> QGELU("quantized_bits(8,3,alpha=1)")(torch.tensor([-1.0, 2.0])).tolist()
        [-0.1875, 1.9375]
    """

    named: ClassVar[str] = "gelu"
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.GELU,)
    numbers: ClassVar[tuple[str, ...]] = ("approximate",)


@LAYERS.register("QELU")
class QELU(_Named):
    """``nn.ELU`` by a table; see :class:`~torchq.nn.table.QTable`.

    Args:
        alpha: as in torch.

    Example:
        >>> import torch
        >>> QELU("quantized_bits(8,3,alpha=1)", alpha=0.5)(torch.tensor([-9.0, 2.0])).tolist()
        [-0.5, 2.0]
    """

    named: ClassVar[str] = "elu"
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.ELU,)
    numbers: ClassVar[tuple[str, ...]] = ("alpha",)


@LAYERS.register("QSoftplus")
class QSoftplus(_Named):
    """``nn.Softplus`` by a table; see :class:`~torchq.nn.table.QTable`.

    Args:
        beta: as in torch.
        threshold: as in torch.

    Example:
        >>> import torch
        >>> QSoftplus("quantized_relu(8,3)")(torch.tensor([-7.0, 0.0])).tolist()
        [0.0, 0.6875]
    """

    named: ClassVar[str] = "softplus"
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.Softplus,)
    numbers: ClassVar[tuple[str, ...]] = ("beta", "threshold")


@LAYERS.register("QHardsigmoid")
class QHardsigmoid(_Named):
    """``nn.Hardsigmoid`` (``clip(x / 6 + 1 / 2, 0, 1)``) by a table; see :class:`~torchq.nn.table.QTable`.

    Example:
        >>> import torch
        >>> QHardsigmoid("quantized_relu(8,1)")(torch.tensor([-3.0, 0.0, 3.0])).tolist()
        [0.0, 0.5, 1.0]
    """

    named: ClassVar[str] = "hard_sigmoid"
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.Hardsigmoid,)


@LAYERS.register("QHardswish")
class QHardswish(_Named):
    """``nn.Hardswish`` by a table; see :class:`~torchq.nn.table.QTable`.

    Example:
        >>> import torch
        >>> QHardswish("quantized_bits(8,3,alpha=1)")(torch.tensor([-3.0, 1.5])).tolist()
        [0.0, 1.125]
    """

    named: ClassVar[str] = "hard_swish"
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.Hardswish,)


@LAYERS.register("QHardtanh")
class QHardtanh(_Named):
    """``nn.Hardtanh`` by a table; see :class:`~torchq.nn.table.QTable`.

    Args:
        min_val: as in torch.
        max_val: as in torch.

    Example:
        >>> import torch
        >>> QHardtanh("quantized_bits(8,1,alpha=1)")(torch.tensor([-3.0, 0.5])).tolist()
        [-1.0, 0.5]
    """

    named: ClassVar[str] = "hard_tanh"
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.Hardtanh,)
    numbers: ClassVar[tuple[str, ...]] = ("min_val", "max_val")
