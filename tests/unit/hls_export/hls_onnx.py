"""ONNX files as other tools write them: made with onnx's own helper, not with ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DOMAIN = "qonnx.custom_op.general"


class Foreign:
    """A graph in the making; constants are initializers or ``Constant`` nodes."""

    def __init__(self, shape=("n", 4), *, constant_nodes: bool = False) -> None:
        self.shape = shape
        self.constant_nodes = constant_nodes
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.count = 0

    def constant(self, values, dtype=np.float32) -> str:
        self.count += 1
        name = f"c{self.count}"
        tensor = numpy_helper.from_array(np.asarray(values, dtype=dtype), name)
        if self.constant_nodes:
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        else:
            self.initializers.append(tensor)
        return name

    def op(self, kind: str, *inputs: str, name: str = "", domain: str = "", **attributes) -> str:
        self.count += 1
        output = f"t{self.count}"
        self.nodes.append(
            helper.make_node(kind, list(inputs), [output], name=name, domain=domain, **attributes)
        )
        return output

    def quant(
        self,
        source: str,
        bits=8,
        scale=2.0**-5,
        zeropt=0.0,
        *,
        name="",
        kind="Quant",
        domain=DOMAIN,
        **attributes,
    ) -> str:
        parameters = [self.constant(v) for v in (scale, zeropt, bits)]
        attributes = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND", **attributes}
        return self.op(kind, source, *parameters, name=name, domain=domain, **attributes)

    def save(self, path: Path, *outputs: str, out_shape=("n", 3)) -> Path:
        graph = helper.make_graph(
            self.nodes,
            "foreign",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, out_shape) for name in outputs],
            initializer=self.initializers,
        )
        domains = {node.domain for node in self.nodes} | {DOMAIN}
        opsets = [helper.make_opsetid("", 13), *(helper.make_opsetid(d, 1) for d in sorted(domains - {""}))]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        path.write_bytes(model.SerializeToString())
        return path


def weights(seed: int = 0, shape=(4, 3), scale: float = 0.4) -> np.ndarray:
    """Plain float32 weights, on no grid."""
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float32)
