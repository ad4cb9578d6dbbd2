"""``CostReport``: what a network costs, layer by layer; as text, as a dict and as HTML."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torchq.cost.base import Costs

_FACTS = ("layer", "kind", "weight", "bias", "accumulator", "output", "macs", "zeros")


@dataclass(frozen=True)
class LayerCost:
    """What one layer costs.

    Args:
        layer: its name in the model.
        kind: the kind of its graph node.
        weight: format of the weight as text, ``"float32"`` without a quantizer, ``""`` without a weight.
        bias: likewise.
        accumulator: exact type of the sum of products, ``""`` where there is none.
        output: format of what leaves the layer.
        macs: multiplications of one sample.
        zeros: parameters that are exactly zero.
        costs: each figure under its name, its parts under ``<figure>_<part>``.
    """

    layer: str
    kind: str
    weight: str
    bias: str
    accumulator: str
    output: str
    macs: int
    zeros: int
    costs: Costs

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**{name: getattr(self, name) for name in _FACTS}, "costs": dict(self.costs)}


@dataclass(frozen=True)
class CostReport:
    """What a network costs.

    Args:
        total: figures of the whole network, such as ``total["bits"]`` and ``total["energy_pj"]``.
        layers: one row for each layer, in the order of execution.
        settings: what each target was asked with.
        units: the unit of each figure.
        notes: figure -> where it comes from and how wrong it is, for those that are no exact counts.
    """

    total: Costs
    layers: tuple[LayerCost, ...]
    settings: Mapping[str, Mapping[str, Any]]
    units: Mapping[str, str]
    notes: Mapping[str, str] = field(default_factory=dict)

    def layer(self, name: str) -> LayerCost:
        """The row of a layer.

        Raises:
            KeyError: there is no such layer.
        """
        for row in self.layers:
            if row.layer == name:
                return row
        raise KeyError(name)

    def text(self) -> str:
        """An aligned table with the totals in the last row; units, notes and settings below."""
        names = self._columns()
        facts = ("layer", "kind", "weight", "bias", "output")
        head = [*facts, *self._headings(names, facts)]
        rows = [
            [
                row.layer,
                row.kind,
                row.weight,
                row.bias,
                row.output,
                *(_figure(row.costs.get(n)) for n in names),
            ]
            for row in self.layers
        ]
        rows.append(["total", *[""] * (len(facts) - 1), *(_figure(self.total.get(n)) for n in names)])
        lines = _aligned([head, *rows], left=len(facts))
        return "\n".join([*lines, *self._remarks()])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: ``total``, ``layers``, ``settings``, ``units``, ``notes``."""
        return {
            "total": dict(self.total),
            "layers": [row.to_dict() for row in self.layers],
            "settings": {target: dict(settings) for target, settings in self.settings.items()},
            "units": dict(self.units),
            "notes": dict(self.notes),
        }

    def to_html(self) -> str:
        """One ``<table>`` without styles, to be put into a page; notes stand in a ``<ul>`` behind it."""
        names = self._columns()
        head = [*_FACTS, *self._headings(names, _FACTS)]
        lines = ['<table class="cost">', _html_row("th", head)]
        for row in self.layers:
            facts = [str(getattr(row, name)) for name in _FACTS]
            lines.append(_html_row("td", facts + [_figure(row.costs.get(n)) for n in names]))
        blank = [""] * (len(_FACTS) - 1)
        lines.append(_html_row("th", ["total", *blank, *(_figure(self.total.get(n)) for n in names)]))
        lines.append("</table>")
        if self.notes:
            notes = [f"<li>{html.escape(f'{name}: {text}')}</li>" for name, text in self.notes.items()]
            lines += ['<ul class="cost-notes">', *notes, "</ul>"]
        return "\n".join(lines)

    def _remarks(self) -> list[str]:
        """A line for each figure and one for each target that has settings."""
        lines = []
        for figure, unit in self.units.items():
            note = self.notes.get(figure)
            lines.append(f"{figure} in {unit}" + (f" ({note})" if note else ""))
        for target, settings in self.settings.items():
            if settings:
                words = " ".join(f"{name}={value}" for name, value in settings.items())
                lines.append(f"{target}: {words}")
        return lines

    def _columns(self) -> list[str]:
        """The figures that at least one layer has, target by target."""
        return list(dict.fromkeys(name for row in self.layers for name in row.costs))

    def _headings(self, columns: list[str], taken: tuple[str, ...]) -> list[str]:
        """Parts go without their figure's name where that leaves no doubt."""
        headings = list(taken)
        for column in columns:
            owner = next((f for f in self.units if column.startswith(f"{f}_")), None)
            own = column in self.units or owner is None
            short = column if own else column.removeprefix(f"{owner}_")
            headings.append(column if short in headings else short)
        return headings[len(taken) :]


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def _aligned(rows: list[list[str]], left: int) -> list[str]:
    """One line a row, a rule below the first; the first ``left`` columns aligned left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows = [rows[0], ["-" * width for width in widths], *rows[1:]]
    return [
        "  ".join(
            f"{word:<{width}}" if i < left else f"{word:>{width}}"
            for i, (word, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _html_row(tag: str, words: list[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(word)}</{tag}>" for word in words) + "</tr>"
