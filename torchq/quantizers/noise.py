"""``QNoiseScheduler``: quantization faded in during training (arXiv:1903.01061)."""

from __future__ import annotations

from torch import nn

from torchq.errors import QuantizerError
from torchq.quantizers.base import Quantizer


class QNoiseScheduler:
    """Raises ``qnoise_factor`` of all quantizers of a model from 0 (float) to 1 (quantized).

    The factor is 0 before ``start``, ``1 - ((finish - t) / (finish - start))**exponent`` between, and 1
    after ``finish``. Every quantizer of the model is found, also nested ones. Call :meth:`step` once before
    each optimizer step, or :meth:`epoch` once before each epoch; the other one then does nothing.

    Args:
        model: whose quantizers are scheduled.
        start: step or epoch at which quantization starts.
        finish: step or epoch from which on all is quantized.
        freq_type: ``"epoch"`` or ``"step"``.
        update_freq: the factor changes every so many steps or epochs.
        initial_step_or_epoch: where counting starts, for a training that is resumed.
        exponent: the larger, the earlier the factor is near 1.
        use_ste: the gradient is that of the surrogate (see :class:`Quantizer`).

    Raises:
        QuantizerError: ``start`` is after ``finish``, or an unknown ``freq_type``.

    Example:
        >>> from torchq.quantizers import quantized_bits
        >>> schedule = QNoiseScheduler(quantized_bits(4), start=0, finish=4, exponent=1.0)
        >>> [schedule.epoch() for _ in range(6)]
        [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """

    def __init__(
        self,
        model: nn.Module,
        start: int,
        finish: int,
        freq_type: str = "epoch",
        *,
        update_freq: int = 1,
        initial_step_or_epoch: int = 0,
        exponent: float = 3.0,
        use_ste: bool = True,
    ) -> None:
        if start > finish:
            raise QuantizerError(f"QNoiseScheduler: start {start} must be at most finish {finish}")
        if freq_type not in ("epoch", "step"):
            raise QuantizerError(f"QNoiseScheduler: freq_type must be 'epoch' or 'step', got {freq_type!r}")
        if update_freq < 1:
            raise QuantizerError(f"QNoiseScheduler: update_freq must be at least 1, got {update_freq}")
        self.start, self.finish, self.freq_type = start, finish, freq_type
        self.update_freq, self.exponent = update_freq, exponent
        self.count = initial_step_or_epoch
        self.quantizers = [module for module in model.modules() if isinstance(module, Quantizer)]
        self.qnoise_factor = 0.0
        for quantizer in self.quantizers:
            quantizer.use_ste = use_ste
        self._set(self.factor(self.count))

    def factor(self, count: int) -> float:
        """The factor at a step or epoch."""
        if count < self.start:
            return 0.0
        if count >= self.finish:
            return 1.0
        left = (self.finish - count) / (self.finish - self.start)
        return float(1.0 - left**self.exponent)

    def step(self) -> float:
        """Before each optimizer step; returns the factor in force."""
        return self._advance("step")

    def epoch(self) -> float:
        """Before each epoch; returns the factor in force."""
        return self._advance("epoch")

    def _advance(self, event: str) -> float:
        if event == self.freq_type:
            if self.count % self.update_freq == 0:
                self._set(self.factor(self.count))
            self.count += 1
        return self.qnoise_factor

    def _set(self, factor: float) -> None:
        self.qnoise_factor = factor
        for quantizer in self.quantizers:
            quantizer.update_qnoise_factor(factor)
