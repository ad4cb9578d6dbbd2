"""Two processes train one quantized network: gradients are averaged, weights and state stay the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

WORKER = """
import json, os, sys
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torchq import Scheme, quantize

rank, store, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
torch.manual_seed(0)
x, y = torch.randn(64, 8), torch.randint(0, 3, (64,))
weight = "quantized_bits(4,0,alpha='auto_po2')"
scheme = Scheme.uniform(
    weight=weight,
    bias="quantized_bits(6,0,alpha=1)",
    output="quantized_relu(5,2)",
    input="quantized_bits(8,3,alpha=1)",
)
torch.manual_seed(rank)  # the processes begin with different weights; DDP sends those of the first
model = quantize(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)), scheme)
parallel = DistributedDataParallel(model)
optimizer = torch.optim.SGD(parallel.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    nn.functional.cross_entropy(parallel(x[rank::2]), y[rank::2]).backward()
    optimizer.step()
state = {name: value.double().flatten().tolist() for name, value in model.state_dict().items()}
with open(out, "w") as file:
    file.write(json.dumps(state))
distributed.barrier()
distributed.destroy_process_group()
os._exit(0)  # torch's own threads abort about every tenth ordinary end, with plain modules too
"""


def test_both_processes_end_with_the_same_network(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    outputs = [tmp_path / f"{rank}.json" for rank in (0, 1)]
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), str(tmp_path / "store"), str(outputs[rank])],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors
    first, second = (json.loads(path.read_text()) for path in outputs)
    assert first == second
    assert any(name.endswith("weight_quantizer.scale") for name in first)
