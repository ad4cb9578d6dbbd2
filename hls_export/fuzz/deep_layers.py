"""Drawing layers that are small networks of their own: softmax, layer norm, attention, recurrent layers."""

from __future__ import annotations

from typing import Any

from hls_export.fuzz.growing import Growing


def _softmax_slots(g: Growing) -> dict[str, str]:
    """The inner steps of a softmax."""
    return g.some(
        exp=f"fixed({g.upto(10, 4)},1,signed=False)",
        sum=f"fixed({g.upto(10, 4)},{g.upto(5, 2)},signed=False)",
        inverse=f"fixed({g.upto(10, 4)},{g.upto(3)},signed=False)",
    )


def softmax(g: Growing) -> None:
    """Along any axis."""
    slots = {"output": "quantized_relu(8,0)", "input": f"fixed({g.upto(8, 3)},{g.upto(4, 1)})"}
    g.add(op="QSoftmax", args=[g.upto(len(g.shape))], slots=slots | _softmax_slots(g))


def layer_norm(g: Growing) -> None:
    """Over the last axis."""
    slots = {"weight": g.plain(), "bias": g.plain(), "output": g.plain()}
    slots |= {"input": "fixed(8,4)", "mean": "fixed(8,4)"} if g.chance(0.5) else {}
    slots |= g.some(
        variance=f"fixed({g.upto(10, 5)},{g.upto(6, 2)},signed=False)",
        rsqrt=f"fixed({g.upto(12, 6)},{g.upto(4, 2)},signed=False)",
    )
    g.add(op="QLayerNorm", args=[g.shape[-1]], slots=slots)


def recurrent(g: Growing) -> None:
    """Of one or two layers, in one direction or in both."""
    op = g.any(["QRNN", "QLSTM", "QGRU"])
    bias = g.chance(0.7)
    options: dict[str, Any] = {"batch_first": True, "bidirectional": g.chance(0.3), "bias": bias}
    if g.chance(0.15):
        options["num_layers"] = 2
    if op == "QRNN":
        options["nonlinearity"] = g.any(["tanh", "relu"])
    slots = {"weight": g.plain(6), "recurrent": g.plain(6), **({"bias": g.plain()} if bias else {})}
    slots["preactivation"] = f"fixed({g.upto(8, 4)},3)"
    slots |= g.some(state=g.plain())
    if op != "QRNN":
        slots |= g.some(gate=f"quantized_relu({g.upto(8, 3)},0)", candidate=g.plain())
    if op == "QLSTM":
        slots |= g.some(cell=f"fixed({g.upto(8, 4)},3)")
    if g.chance(0.5):
        slots["output"] = g.activation()
    g.add(op=op, args=[g.shape[1], g.upto(3)], options=options, slots=slots)


def attention(g: Growing) -> None:
    """A sequence that attends to itself."""
    heads = g.any([h for h in range(1, g.shape[1] + 1) if g.shape[1] % h == 0])
    bias = g.chance(0.7)
    slots = {"weight": g.plain(6), "out_weight": g.plain(6), "output": g.plain()}
    slots |= {"bias": g.plain(6), "out_bias": g.plain(6)} if bias else {}
    slots |= {"scores": f"fixed({g.upto(8, 4)},4)"} | _softmax_slots(g)
    slots |= g.some(query=g.plain(), key=g.plain(), value=g.plain(), context=g.plain())
    slots |= g.some(attention=f"quantized_relu({g.upto(8, 3)},0)")
    options = {"batch_first": True, "bias": bias}
    g.add(op="QMultiheadAttention", args=[g.shape[1], heads], options=options, slots=slots)
