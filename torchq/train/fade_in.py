"""``fade_in``: quantization faded in by a ``QNoiseScheduler`` while :func:`~torchq.train.fit` trains."""

from __future__ import annotations

from collections.abc import Callable

from torchq.errors import TrainError
from torchq.quantizers import QNoiseScheduler


def fade_in(scheduler: QNoiseScheduler, steps_per_epoch: int | None = None) -> Callable[[int], None]:
    """What ``fit(..., after_step=)`` takes so that quantization fades in as the scheduler says.

    After each step it sets the factor of the next one, from the number of steps alone; the factor is in the
    model's ``state_dict``. A training that goes on from a checkpoint fades in as one that was never stopped.
    Give ``best_from`` as well: an epoch in which the model was still partly float should not be the best.

    Args:
        scheduler: made for the model that is trained, and not stepped by anybody else.
        steps_per_epoch: batches of an epoch; needed with ``freq_type="epoch"``.

    Raises:
        TrainError: the scheduler counts epochs, and their length is not given.

    Example:
        >>> from torchq.quantizers import quantized_bits
        >>> q = quantized_bits(4)
        >>> call = fade_in(QNoiseScheduler(q, start=0, finish=4, freq_type="step", exponent=1.0))
        >>> [(call(done), float(q.qnoise_factor))[1] for done in (1, 2, 4)]
        [0.25, 0.5, 1.0]
    """
    if scheduler.freq_type == "epoch" and (steps_per_epoch is None or steps_per_epoch < 1):
        raise TrainError(
            "the noise schedule counts epochs; fade_in must know how many steps one has",
            hint="give steps_per_epoch, or make the schedule with freq_type='step'",
        )
    length = 1 if scheduler.freq_type == "step" else steps_per_epoch or 1
    first = scheduler.count

    def call(done: int) -> None:
        count = first + done // length
        chosen = max(count - count % scheduler.update_freq, first)
        factor = scheduler.factor(chosen)
        if factor != scheduler.qnoise_factor:
            for quantizer in scheduler.quantizers:
                quantizer.update_qnoise_factor(factor)
        scheduler.qnoise_factor, scheduler.count = factor, count

    return call
