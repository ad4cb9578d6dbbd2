"""``from_autoqkeras``: an AutoQKeras configuration as a space, a goal and a searcher of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torchq.advice import advice
from torchq.errors import SearchError
from torchq.scheme import Scheme
from torchq.search.autoqkeras_goal import GoalPlan, goal_plan
from torchq.search.autoqkeras_limits import Entry, Group, Layer, groups_of, layers_of, options, with_alpha
from torchq.search.autoqkeras_tables import (
    ACTIVATIONS,
    DEFAULT_CONFIG,
    DEFAULT_LIMIT,
    KNOWN_KEYS,
    NORMS,
    RECURRENT,
    SEARCHERS,
    WITH_WEIGHTS,
    WITHOUT_EFFECT,
)
from torchq.search.space import Space
from torchq.search.space_build import MULTIPLIERS, Choices, Filters, build_space

if TYPE_CHECKING:
    from torch import nn

    from torchq.search.forgiving import ForgivingFactor

RATES = (0.5, 0.65, 0.8, 0.95, 1.1)
"""``learning_rate_optimizer``: multiples of the learning rate."""

Role = tuple[str, str, int]
"""Our slot, AutoQKeras's table, and the place in the limit's list."""

_ROLES: tuple[Role, ...] = (("weight", "kernel", 0), ("bias", "bias", 1))
_ROLES_RECURRENT: tuple[Role, ...] = (*_ROLES, ("recurrent", "recurrent_kernel", 2))


@dataclass(frozen=True)
class AutoQKerasSearch:
    """What an AutoQKeras configuration says, in our terms.

    Args:
        space: what may be tried.
        plan: the goal, before its reference is priced; :meth:`goal` prices it.
        searcher: our searcher for ``mode`` (or for ``blocks``).
        options: of the searcher.
        trials: ``max_trials``; None if it says nothing.
        notes: sentences about arguments that mean nothing here.
    """

    space: Space
    plan: GoalPlan
    searcher: str = "ax"
    options: Mapping[str, Any] = field(default_factory=dict)
    trials: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def cost_settings(self) -> Mapping[str, Any]:
        """The settings of the cost target for trials (index 1 of AutoQKeras's lists)."""
        return self.plan.settings

    def goal(self, model: nn.Module, example: tuple[int, ...]) -> ForgivingFactor:
        """The forgiving factor against AutoQKeras's own reference: the float network.

        Args:
            model: the float network.
            example: the shape of one sample.
        """
        return self.plan.goal(model, self.space.scheme(self.space.at(1.0)), example)


def from_autoqkeras(
    config: Mapping[str, Any],
    model: nn.Module,
    *,
    input: str | Sequence[str] = "quantized_bits(8,0,alpha=1)",
    learning_rate: float = 1e-2,
    base: Scheme | None = None,
    fold: Sequence[str] = (),
) -> AutoQKerasSearch:
    """Read a configuration of AutoQKeras.

    ``docs/autoq.md`` lists each argument with what is the same and what differs.

    Args:
        config: ``quantization_config``, ``limit``, ``goal``, ``tune_filters``, ``tune_filters_exceptions``,
            ``layer_indexes``, ``mode``, ``max_trials``, ``blocks``, ...
        model: the float network.
        input: the quantizer of its input, or several; AutoQKeras leaves the input alone, hardware cannot.
        learning_rate: what ``learning_rate_optimizer`` varies.
        base: quantizers of the layers that ``limit`` does not mean.
        fold: how batch norms are folded, for which AutoQKeras has no word: ``"train"`` (the default), or
            ``"now"``; or both, to choose from.

    Raises:
        SearchError: an unknown argument, a limit that means no layer or leaves no option, or a layer without
            a quantizer; the message says which.

    Example:
        >>> from torchq.models import jets_mlp
        >>> search = from_autoqkeras({"limit": {"Dense": [4, 4], "Activation": [4]}, "mode": "random"},
        ...                          jets_mlp(units=(8,)))
        >>> print(*(f"{knob.name}: {len(knob.options)}" for knob in search.space.knobs), sep=", ")
        fc1.weight: 7, fc1.bias: 2, relu1.activation: 6, output.weight: 7, output.bias: 2
        >>> search.searcher, round(search.goal(jets_mlp(units=(8,)), (16,)).reference)
        ('random', 1680)
    """
    for key in config:
        if key not in KNOWN_KEYS:
            raise SearchError(f"autoqkeras: unknown argument {key!r}", hint=advice(str(key), KNOWN_KEYS))
    tables = {**DEFAULT_CONFIG, **(config.get("quantization_config") or {})}
    layers = layers_of(model)
    chosen = _chosen(config.get("layer_indexes"), model, layers)
    limit = config.get("limit") or {}
    if not limit:
        raise SearchError(
            "autoqkeras: limit is empty, so no layer is quantized", hint="write limit: {Dense: [4]}"
        )
    groups = groups_of(limit, layers, chosen)
    _check_covered(layers, groups, base)
    choices = _choices(groups, layers, tables)
    space = build_space(
        model,
        choices,
        base=base,
        input=[input] if isinstance(input, str) else input,
        filters=_filters(config),
        learning_rate=[learning_rate * m for m in RATES] if config.get("learning_rate_optimizer") else (),
        fold=fold,
    )
    searcher, options_ = _searcher(config)
    return AutoQKerasSearch(
        space=space,
        plan=goal_plan(config.get("goal")),
        searcher=searcher,
        options=options_,
        trials=config.get("max_trials"),
        notes=tuple(
            f"autoqkeras: {key} has no effect here" for key in WITHOUT_EFFECT if config.get(key) is not None
        ),
    )


def _chosen(indexes: Iterable[int] | None, model: nn.Module, layers: Sequence[Layer]) -> list[str]:
    """The layers that ``layer_indexes`` leaves; index 0 is Keras's input layer."""
    if indexes is None:
        return [layer.name for layer in layers]
    leaves = [name for name, module in model.named_modules() if name and not list(module.children())]
    found = []
    for index in indexes:
        if not isinstance(index, int) or not 0 <= index <= len(leaves):
            raise SearchError(
                f"autoqkeras: layer_indexes go from 0 (the input) to {len(leaves)}, got {index!r}"
            )
        if index:
            found.append(leaves[index - 1])
    return found


def _filters(config: Mapping[str, Any]) -> Filters:
    exceptions = config.get("tune_filters_exceptions")
    return Filters(config.get("tune_filters") or "none", exceptions or "", MULTIPLIERS)


def _searcher(config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    mode = config.get("mode", "bayesian")
    if mode not in SEARCHERS:
        raise SearchError(f"autoqkeras: unknown mode {mode!r}", hint=advice(str(mode), SEARCHERS))
    if not config.get("blocks"):
        return SEARCHERS[mode], {}
    return "blocks", {"blocks": list(config["blocks"]), "order": config.get("schedule_block", "sequential")}


def _check_covered(layers: Sequence[Layer], groups: Sequence[Group], base: Scheme | None) -> None:
    named = {layer.name for group in groups for layer in group.layers}
    for layer in layers:
        if layer.name in named or layer.kind in (*NORMS, *ACTIVATIONS):
            continue
        if base is not None and base.slot(layer.name, "weight", (layer.kind,)) is not None:
            continue
        raise SearchError(
            f"autoqkeras: limit has no entry for {layer.name} ({layer.keras[0]}), so it would stay float, "
            "and hardware has no floats",
            hint="add its class or name to limit, or give it a fixed quantizer",
        )


def _choices(
    groups: Sequence[Group], layers: Sequence[Layer], tables: Mapping[str, Mapping[str, int]]
) -> Mapping[str, Choices]:
    """What :func:`build_space` takes; a group by names shares its choices by table, class by class."""
    found: dict[str, dict[str, Sequence[Any]]] = {}
    for group in groups:
        for kind in dict.fromkeys(layer.kind for layer in group.layers):
            mine = [layer for layer in group.layers if layer.kind == kind]
            slots = _slots(group, mine[0], tables)
            for key in [_key(mine)] if group.shared else [layer.name for layer in mine]:
                found.setdefault(key, {}).update(slots)
    for group in groups:
        _behind(group, layers, tables, found)
    return found


def _key(layers: Sequence[Layer]) -> str:
    """A key that means exactly these layers."""
    import re

    if len(layers) == 1:
        return layers[0].name
    return f"re:^({'|'.join(re.escape(layer.name) for layer in layers)})$"


def _slots(group: Group, layer: Layer, tables: Mapping[str, Mapping[str, int]]) -> dict[str, Sequence[Any]]:
    if layer.kind in NORMS:
        return {}
    if layer.kind in ACTIVATIONS:
        entry: Entry = group.entries[-1] if group.entries else DEFAULT_LIMIT
        return {"activation": _texts(tables, "activation", entry, layer.name, "activation", group.key)}
    roles = _ROLES_RECURRENT if layer.kind in RECURRENT else _ROLES
    found: dict[str, Sequence[Any]] = {}
    for slot, table, place in roles:
        known = table if table in tables else "kernel"
        found[slot] = _texts(tables, known, group.entries[place], layer.name, slot, group.key)
    return found


def _texts(
    tables: Mapping[str, Mapping[str, int]], table: str, entry: Entry, layer: str, slot: str, key: str
) -> list[str]:
    kept = options(tables[table], entry, where=f"{layer}.{slot}: limit {key}")
    role = "kernel" if table.endswith("kernel") else table
    return list(dict.fromkeys(with_alpha(text, role) for text in kept))


def _behind(
    group: Group,
    layers: Sequence[Layer],
    tables: Mapping[str, Mapping[str, int]],
    found: dict[str, dict[str, Sequence[Any]]],
) -> None:
    """The activation behind a layer with weights: in Keras its own, so the layer's list limits it.

    An activation that a key means by itself is left to that key.
    """
    named = {name for key in found for name in key.removeprefix("re:^(").removesuffix(")$").split("|")}
    order = [layer.name for layer in layers]
    for layer in group.layers:
        if layer.kind not in WITH_WEIGHTS:
            continue
        following = [x for x in layers[order.index(layer.name) + 1 :] if x.kind not in NORMS][:1]
        for one in following:
            if one.kind in ACTIVATIONS and one.name not in named:
                entry = group.entries[-1]
                texts = _texts(tables, "activation", entry, one.name, "activation", group.key)
                found.setdefault(one.name, {})["activation"] = texts
