"""AutoQKeras's search on jets; run by ``benchmarks.autoqkeras`` in an environment that has QKeras.

``python autoqkeras.py SAMPLES.npz CONFIGURATION.json OUT.json``: the samples hold ``x``, ``y``, ``valid_x``
and ``valid_y``; the configuration is AutoQKeras's own (``quantization_config``, ``limit``, ``goal``) with
``units``, ``mode``, ``trials``, ``epochs``, ``batch_size``, ``lr`` and ``seed``. The answer is a list of
trials in their order: seconds of wall and CPU time since the search began, score, metrics and choices.

TensorFlow 2.12, keras-tuner 1.3 and QKeras 0.9 are known to work; nothing of torchq is imported.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main(samples: str, configuration: str, out: str) -> None:
    """Search and write down every trial."""
    import numpy as np
    import tensorflow as tf
    from qkeras.autoqkeras import AutoQKeras

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    given = json.loads(Path(configuration).read_text())
    with np.load(samples) as arrays:
        x, y, valid_x, valid_y = (arrays[name] for name in ("x", "y", "valid_x", "valid_y"))
    classes = int(y.max()) + 1
    one_hot = np.eye(classes, dtype="float32")

    hidden = tensor = tf.keras.layers.Input((x.shape[1],), name="input")
    for number, units in enumerate(given["units"], 1):
        tensor = tf.keras.layers.Dense(units, name=f"fc{number}")(tensor)
        tensor = tf.keras.layers.Activation("relu", name=f"relu{number}")(tensor)
    tensor = tf.keras.layers.Dense(classes, name="output")(tensor)
    model = tf.keras.Model(hidden, tf.keras.layers.Activation("softmax", name="softmax")(tensor))
    model.compile(
        optimizer=tf.keras.optimizers.legacy.Adam(given["lr"]),
        loss="categorical_crossentropy",
        metrics=["acc"],
    )

    ends: list[tuple[float, float]] = []

    class Clock(tf.keras.callbacks.Callback):
        """When each trial's training ended; the search copies callbacks, so they all write to one list."""

        def on_train_end(self, logs=None):  # noqa: ARG002
            ends.append((time.perf_counter(), time.process_time()))

    budget = (
        {"max_epochs": given["epochs"]} if given["mode"] == "hyperband" else {"max_trials": given["trials"]}
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        search = AutoQKeras(
            model,
            metrics=["acc"],
            output_dir=str(Path(folder) / "search"),
            goal=given["goal"],
            quantization_config=given["quantization_config"],
            limit=given["limit"],
            mode=given["mode"],
            learning_rate_optimizer=False,
            transfer_weights=False,
            tune_filters=given.get("tune_filters", "none"),
            tune_filters_exceptions=given.get("tune_filters_exceptions", "^$"),
            seed=given["seed"],
            **budget,
        )
        wall, cpu = time.perf_counter(), time.process_time()
        search.fit(
            x,
            one_hot[y],
            validation_data=(valid_x, one_hot[valid_y]),
            batch_size=given["batch_size"],
            epochs=given["epochs"],
            verbose=0,
            callbacks=[Clock(), tf.keras.callbacks.EarlyStopping("val_loss", patience=100)],
        )
        end = time.perf_counter(), time.process_time()
        trials = sorted(search.tuner.oracle.trials.values(), key=lambda trial: int(trial.trial_id))
    found = []
    for trial, (at, used) in zip(trials, ends, strict=True):
        last = {name: trial.metrics.get_last_value(name) for name in trial.metrics.metrics}
        found.append(
            {
                "wall_s": at - wall,
                "cpu_s": used - cpu,
                "score": trial.score,
                "metrics": {name: value for name, value in last.items() if value is not None},
                "choices": trial.hyperparameters.values,
            }
        )
    answer = {"trials": found, "wall_s": end[0] - wall, "cpu_s": end[1] - cpu}
    Path(out).write_text(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
