"""HGQ2 on JAX as a peer of ``benchmarks.stacked``: run by the Python that has it, an epoch for each line.

The jet network 16-64-32-32-5 with fixed 6-bit weights, biases and activations, Adam, cross entropy and
random samples. After the first, compiling epoch it writes a line; then it trains an epoch for each line that
it reads and answers with the CPU seconds of it. ``argv``: batch, samples, steps per execution.
"""

import os
import sys
import time

os.environ.update(
    KERAS_BACKEND="jax",
    JAX_PLATFORMS="cpu",
    TF_CPP_MIN_LOG_LEVEL="3",
    OMP_NUM_THREADS="1",
    XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
)

import keras
import numpy as np
from hgq.config import LayerConfigScope, QuantizerConfig, QuantizerConfigScope
from hgq.layers import QDense

SIZES = (16, 64, 32, 32, 5)


def network() -> keras.Model:
    """Six bits everywhere, in no need of learning them or of counting bit operations."""
    weights = QuantizerConfigScope(
        place="all",
        default_q_type="kbi",
        k0=1,
        b0=5,
        i0=0,
        overflow_mode="sat_sym",
        trainable=False,
        heterogeneous_axis=(),
    )
    values = QuantizerConfigScope(
        place="datalane",
        default_q_type="kif",
        k0=0,
        i0=0,
        f0=6,
        overflow_mode="sat",
        trainable=False,
        heterogeneous_axis=(),
    )
    with weights, values, LayerConfigScope(enable_ebops=False):
        first = QuantizerConfig(place="datalane", k0=1, i0=3, f0=6)
        hidden = [
            QDense(size, activation="relu", **({} if index else {"iq_conf": first}))
            for index, size in enumerate(SIZES[1:-1])
        ]
        return keras.Sequential([keras.layers.Input((SIZES[0],)), *hidden, QDense(SIZES[-1])])


class Clock(keras.callbacks.Callback):
    """Waits for a line before each epoch but the first, and answers with its CPU seconds."""

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002, D102
        if epoch and not sys.stdin.readline():
            self.model.stop_training = True
        self.start = time.process_time()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002, D102
        print(f"EPOCH {time.process_time() - self.start}", flush=True)


def main() -> None:
    """Train until nothing more comes in."""
    batch, samples, steps = (int(text) for text in sys.argv[1:4])
    random = np.random.default_rng(0)
    x = random.standard_normal((samples, SIZES[0])).astype("float32")
    y = np.eye(SIZES[-1], dtype="float32")[random.integers(0, SIZES[-1], samples)]
    keras.utils.set_random_seed(0)
    model = network()
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, jit_compile=True, steps_per_execution=steps)
    model.fit(x, y, batch_size=batch, epochs=10**6, verbose=0, shuffle=True, callbacks=[Clock()])


if __name__ == "__main__":
    main()
