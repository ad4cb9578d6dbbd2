"""``TypeTable``: the types of a network's intermediates, as text, as a dict and as HTML."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from torchq.cost.plain_table import aligned, html_row
from torchq.formats import FixedPoint, Format


@dataclass(frozen=True)
class TypeRow:
    """The types of one layer, or of one step of a layer.

    Args:
        layer: the layer's name in the model; of a step, a point and what the step makes behind it.
        kind: the kind of the workload, or what the step does: ``"sum"``, ``"product"``, ``"table"``, ...
        inputs: of what it reads; None for a float.
        weight: of the weight; None if there is none.
        bias: of the bias; None if there is none.
        gate: what builds the product: ``"mul"``, ``"shifter"``, ``"mux"``, ``"xor"``, ``"and"``, ``"add"``;
            empty if nothing is multiplied.
        product: of one product, by QTools' rules.
        sum: of the sum of all products, likewise.
        accumulator: of that and the bias (QTools' bias adder), likewise.
        output: of what leaves it; None for a float.
        tight_product: the smallest type that holds every product of the actual weights.
        tight_accumulator: the smallest that holds every sum of them, with the bias.
        tight_output: the smallest that holds what leaves.

    Example:
        >>> row = TypeRow("fc1", "linear", (FixedPoint(6, 1),), gate="mul", product=FixedPoint(11, 1))
        >>> row.to_dict()["product"], row.to_dict()["tight_product"]
        ('ap_fixed<11,1,RND_CONV,SAT>', None)
    """

    layer: str
    kind: str
    inputs: tuple[Format | None, ...] = ()
    weight: Format | None = None
    bias: Format | None = None
    gate: str = ""
    product: Format | None = None
    sum: Format | None = None
    accumulator: Format | None = None
    output: Format | None = None
    tight_product: FixedPoint | None = None
    tight_accumulator: FixedPoint | None = None
    tight_output: FixedPoint | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: formats as text, None where there is none."""
        plain: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                plain[field.name] = [_text(f) for f in value]
            else:
                plain[field.name] = value if isinstance(value, str | None) else str(value)
        plain["output"] = _text(self.output)
        return plain

    def words(self) -> list[str]:
        """What stands in a table: widths and integer bits, without rounding and overflow."""
        inputs = " ".join(dict.fromkeys(_short(_text(f)) for f in self.inputs))
        formats = (getattr(self, name) for name in _FORMATS)
        shown = ["" if f is None else _short(str(f)) for f in formats]
        position = _FORMATS.index("output")
        shown[position] = _short(_text(self.output))
        return [self.layer, self.kind, inputs, shown[0], shown[1], self.gate, *shown[2:]]


_FORMATS = (
    "weight",
    "bias",
    "product",
    "sum",
    "accumulator",
    "output",
    "tight_product",
    "tight_accumulator",
    "tight_output",
)
_HEAD = [
    "layer",
    "kind",
    "inputs",
    "weight",
    "bias",
    "gate",
    *(name.replace("_", " ") for name in _FORMATS[2:]),
]


@dataclass(frozen=True)
class TypeTable:
    """The types of a network.

    Args:
        rows: layer by layer in the order of execution, the steps of a layer in front of it.
    """

    rows: tuple[TypeRow, ...]

    def row(self, layer: str) -> TypeRow:
        """The row of a layer, or of a step.

        Raises:
            KeyError: there is no such row.
        """
        for row in self.rows:
            if row.layer == layer:
                return row
        raise KeyError(layer)

    def text(self) -> str:
        """An aligned table of widths and integer bits (which count the sign); empty columns are left out.

        Example:
            >>> print(TypeTable((TypeRow("x", "quantize", (None,), output=FixedPoint(6, 1)),)).text())
            layer  kind      inputs   output
            -----  --------  -------  -------------
            x      quantize  float32  ap_fixed<6,1>
        """
        table = [_HEAD, *(row.words() for row in self.rows)]
        filled = [i for i, column in enumerate(zip(*table, strict=True)) if i < 2 or any(column[1:])]
        return "\n".join(aligned([[row[i] for i in filled] for row in table]))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: ``rows``."""
        return {"rows": [row.to_dict() for row in self.rows]}

    def to_html(self) -> str:
        """One ``<table>`` without styles, to be put into a page."""
        lines = ['<table class="types">', html_row("th", _HEAD)]
        lines += [html_row("td", row.words()) for row in self.rows]
        return "\n".join([*lines, "</table>"])


def _text(format: Format | None) -> str:
    return "float32" if format is None else str(format)


def _short(text: str) -> str:
    """Without rounding and overflow: ``ap_fixed<6,1,RND_CONV,SAT>`` becomes ``ap_fixed<6,1>``."""
    if not text.startswith(("ap_fixed<", "ap_ufixed<")):
        return text
    return ",".join(text.split(",")[:2]) + ">"
