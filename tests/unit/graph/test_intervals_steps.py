"""Sums, products and tables inside of layers stay inside their ranges too: each step computed by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from interval_networks import layer, samples
from torch import Tensor, nn

from torchq.graph import evaluate, trace
from torchq.graph.intervals import Part, intervals
from torchq.nn import LAYERS, QInput
from torchq.nn.table import Lookup


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def parts_of(
    model: nn.Module, shape: tuple[int, ...], name: str, x: Tensor
) -> tuple[dict[str, Part], Tensor]:
    """The parts of a node, and what it reads."""
    graph = trace(model.double().eval(), shape)
    parts = {part.name.removeprefix(f"{name}."): part for part in intervals(graph)[name].parts}
    return parts, evaluate(graph, x)[graph.node(name).inputs[0]]


def check(parts: dict[str, Part], **steps: Tensor) -> None:
    """Each name is ``part_range``: the range of that part."""
    for key, values in steps.items():
        name, _, which = key.rpartition("_")
        found = getattr(parts[name], which)
        assert found is not None, key
        batch = values.numpy()
        assert batch.shape[1:] == found.shape, key
        assert found.contains(batch), key


@pytest.mark.parametrize("shape", [(5,), (3, 4)])
def test_softmax(shape: tuple[int, ...]) -> None:
    soft: Any = layer("QSoftmax", -1, output_quantizer="quantized_relu(8)", input_quantizer="fixed(7,3)")
    parts, x = parts_of(nn.Sequential(QInput("fixed(8,4)"), soft), shape, "1", samples(shape, 300))
    x = soft.input_quantizer(x)
    d = x.amax(-1, keepdim=True) - x
    exp, inverse = soft.tables(shape[-1])
    e = torch.from_numpy(exp.values)[(d / exp.input.lsb).long()]
    total = e.sum(-1, keepdim=True)
    address = inverse.input.quantize_tensor(total)
    r = torch.from_numpy(inverse.values)[(address / inverse.input.lsb).long()]
    check(parts, distance_total=d, exp_output=e, sum_total=total, inverse_output=r)
    found = parts["1"]
    assert found.product is not None
    assert found.product.contains((e * r).numpy())


@pytest.mark.parametrize("bias", [True, False])
def test_layer_norm(bias: bool) -> None:
    norm: Any = layer(
        "QLayerNorm",
        6,
        bias=bias,
        weight_quantizer="fixed(6,2)",
        bias_quantizer="fixed(6,2)" if bias else None,
        output_quantizer="fixed(8,3)",
        input_quantizer="fixed(8,4)",
    )
    nn.init.uniform_(norm.weight, -1, 1)
    parts, x = parts_of(nn.Sequential(QInput("fixed(9,5)"), norm), (6,), "1", samples((6,), 300))
    x, c = norm.input_quantizer(x), norm.inverse_of_count()
    total = x.sum(-1, keepdim=True)
    d = x - norm.mean_quantizer(total * c)
    squares = (d * d).sum(-1, keepdim=True)
    r = Lookup("rsqrt", norm.variance_quantizer, norm.rsqrt_quantizer, eps=norm.eps)(squares * c)
    check(
        parts,
        input_output=x,
        sum_total=total,
        mean_product=total * c,
        centred_total=d,
        squares_product=d * d,
        squares_total=squares,
        variance_product=squares * c,
        variance_output=norm.variance_quantizer(squares * c),
        rsqrt_output=r,
        scaled_product=d * r,
    )
    found = parts["1"]
    product = d * r * norm.quantized_weight()
    assert found.product is not None
    assert found.total is not None
    assert found.product.contains(product.numpy())
    assert found.total.contains((product + norm.quantized_bias() if bias else product).numpy())


def test_pools() -> None:
    pool: Any = layer("QAvgPool1d", 3, 1, 1, average_quantizer="fixed(6,1)", output_quantizer="fixed(4,2)")
    parts, x = parts_of(nn.Sequential(QInput("fixed(6,3)"), pool), (2, 5), "1", samples((2, 5), 200))
    sums = pool.sums(x)
    check(parts, sum_total=sums)
    found = parts["1"]
    assert found.product is not None
    assert found.product.contains((sums * pool.average((2, 5))).numpy())


def recurrent(name: str) -> tuple[Any, nn.Module]:
    torch.manual_seed(3)
    cls: Any = LAYERS.get(name)
    q = {
        "weight_quantizer": "fixed(5,1)",
        "recurrent_quantizer": "fixed(4,1)",
        "bias_quantizer": "fixed(5,1)",
    }
    made = cls(3, 2, batch_first=True, preactivation_quantizer="fixed(8,4)", **q)
    for parameter in made.parameters():
        nn.init.uniform_(parameter, -1.5, 1.5)
    return made, nn.Sequential(QInput("fixed(6,3)"), made)


class First(nn.Module):
    """The output of a recurrent layer."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.inner(x)[0]
        return result


@pytest.mark.parametrize("name", ["QLSTM", "QGRU", "QRNN"])
def test_recurrent_cells(name: str) -> None:
    made, model = recurrent(name)
    model = nn.Sequential(model[0], First(model[1]))  # type: ignore[index]
    parts, x = parts_of(model, (4, 3), "1.inner", samples((4, 3), 150))
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    w, u, b, c = (made.quantized_parameter(n) for n in names)
    read = F.linear(x, w, b)
    check(parts, ih_l0_total=read)
    h = x.new_zeros(len(x), 2)
    cell = x.new_zeros(len(x), 2)
    steps: dict[str, list[Tensor]] = {}
    for t in range(4):
        back = F.linear(h, u, c)
        noted = {"hh_l0_total": back}
        if name == "QRNN":
            noted["sum_total"] = read[:, t] + back
            (h,) = made.cell(x.device)(read[:, t], back, (h,))
        elif name == "QLSTM":
            total = read[:, t] + back
            sigmoid, tanh = (
                made.lookup(f, s, x.device) for f, s in (("sigmoid", "gate"), ("tanh", "candidate"))
            )
            i, f, g, o = (
                table(part)
                for table, part in zip((sigmoid, sigmoid, tanh, sigmoid), total.chunk(4, -1), strict=True)
            )
            noted |= {"sum_total": total, "i_output": i, "f_output": f, "g_output": g, "o_output": o}
            noted |= {"kept_product": f * cell, "new_product": i * g, "both_total": f * cell + i * g}
            h, cell = made.cell(x.device)(read[:, t], back, (h, cell))
            noted |= {"c_output": cell, "tanh_output": tanh(cell), "shown_product": o * tanh(cell)}
        else:
            (ra, za, na), (rb, zb, nb) = read[:, t].chunk(3, -1), back.chunk(3, -1)
            sigmoid, tanh = (
                made.lookup(f, s, x.device) for f, s in (("sigmoid", "gate"), ("tanh", "candidate"))
            )
            r, z = sigmoid(ra + rb), sigmoid(za + zb)
            n = tanh(na + r * nb)
            noted |= {"r_sum_total": ra + rb, "z_sum_total": za + zb, "r_output": r, "z_output": z}
            noted |= {"reset_product": r * nb, "n_sum_total": na + r * nb, "n_output": n}
            noted |= {"new_product": (1 - z) * n, "kept_product": z * h, "both_total": (1 - z) * n + z * h}
            (h,) = made.cell(x.device)(read[:, t], back, (h,))
        for key, values in noted.items():
            steps.setdefault(key, []).append(values)
    check(parts, **{key: torch.stack(values, 1) for key, values in steps.items()})
    found = parts["1.inner"].output
    assert found is not None
    assert found.contains(made(x)[0].numpy())


def test_attention() -> None:
    torch.manual_seed(4)
    attention: Any = layer(
        "QMultiheadAttention",
        4,
        2,
        batch_first=True,
        weight_quantizer="fixed(6,1)",
        bias_quantizer="fixed(6,2)",
        out_weight_quantizer="fixed(6,1)",
        out_bias_quantizer="fixed(6,2)",
    )
    nn.init.uniform_(attention.in_proj_weight, -1, 1)

    class Crossed(nn.Module):
        """The query by name and last, so that the order of the arguments is not that of the tensors."""

        def __init__(self) -> None:
            super().__init__()
            self.one, self.other, self.attention = QInput("fixed(5,1)"), QInput("fixed(7,4)"), attention

        def forward(self, x: Tensor) -> Tensor:
            wide, narrow = self.other(x), self.one(x)
            result: Tensor = self.attention(key=wide, value=wide, query=narrow, need_weights=False)[0]
            return result

    graph = trace(Crossed().double().eval(), (3, 4))
    parts = {part.name.removeprefix("attention."): part for part in intervals(graph)["attention"].parts}
    values = evaluate(graph, samples((3, 4), 200))
    narrow, wide = values["one"], values["other"]
    weights = attention.quantized_parameter("in_proj_weight").chunk(3)
    biases = attention.quantized_parameter("in_proj_bias").chunk(3)
    heads = []
    for role, x, w, b in zip(("query", "key", "value"), (narrow, wide, wide), weights, biases, strict=True):
        total = F.linear(x, w, b)
        made = attention.quantizer(role)(total)
        check(parts, **{f"{role}_total": total, f"{role}_output": made})
        heads.append(made.reshape(len(x), 3, 2, 2).transpose(1, 2))
    scores = heads[0] @ heads[1].transpose(-1, -2)
    soft = attention._attend(narrow, wide, wide)
    check(parts, scores_total=scores, scores_output=attention.scores_quantizer(scores))
    check(parts, softmax_output=soft[1], context_total=soft[1] @ heads[2])
    context = attention.context_quantizer((soft[1] @ heads[2]).transpose(1, 2).flatten(2))
    total = F.linear(
        context,
        attention.quantized_parameter("out_proj.weight"),
        attention.quantized_parameter("out_proj.bias"),
    )
    found = parts["attention"]
    assert found.total is not None
    assert found.total.contains(total.numpy())
    products = context[:, :, None] * attention.quantized_parameter("out_proj.weight")
    assert found.product is not None
    assert all(found.product.contains(products[:, :, n].numpy()) for n in range(4))


def test_products_of_linear_layers_and_convolutions() -> None:
    torch.manual_seed(5)
    fc: Any = layer("QLinear", 4, 3, weight_quantizer="fixed(5,2)", bias_quantizer="fixed(5,2)")
    nn.init.uniform_(fc.weight, -2, 2)
    parts, x = parts_of(nn.Sequential(QInput("fixed(6,3)"), fc), (4,), "1", samples((4,), 200))
    product, total = parts["1"].product, parts["1"].total
    assert product is not None
    assert total is not None
    for row in fc.quantized_weight():
        assert product.contains((x * row).numpy())
    assert total.contains(fc(x).detach().numpy())
    conv: Any = layer("QConv1d", 4, 2, 3, groups=2, weight_quantizer="fixed(5,2)", bias=False)
    nn.init.uniform_(conv.weight, -2, 2)
    parts, x = parts_of(nn.Sequential(QInput("fixed(6,3)"), conv), (4, 5), "1", samples((4, 5), 200))
    product = parts["1"].product
    assert product is not None
    weight = conv.quantized_weight()
    for group in range(2):
        for tap in range(3):
            made = torch.zeros_like(x)
            made[:, 2 * group : 2 * group + 2] = x[:, 2 * group : 2 * group + 2] * weight[group, :, tap, None]
            inside = product.contains(made.detach().numpy())
            assert inside


def test_a_gru_remembers_what_its_candidates_never_were() -> None:
    """All candidates are near 1, and the state that starts at 0 is between."""
    made, model = recurrent("QGRU")
    for parameter in made.parameters():
        nn.init.zeros_(parameter)
    made.bias_ih_l0[4:] = 3.0
    parts, x = parts_of(nn.Sequential(model[0], First(model[1])), (4, 3), "1.inner", samples((4, 3), 9))  # type: ignore[index]
    candidates, states = parts["n"].output, parts["1.inner"].output
    assert candidates is not None
    assert states is not None
    y = made(x)[0]
    assert float(candidates.ends()[0].min()) > float(y.min()) > 0
    assert states.contains(y.numpy())
