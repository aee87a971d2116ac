"""Mackey-Glass: predict a chaotic series that is driven by its own past.

Shapes: R rows of the series, one unit of time apart; D integration steps within one delay.
"""

import numpy as np
from numpy.typing import NDArray

from contract.spec import MackeyGlass
from worker.datasets.draws import draws
from worker.datasets.task import Task
from worker.datasets.windows import WindowDataset, scaled, split_by_time

_ROWS = 5_000
"""Rows of a series, after the transient."""
_TRANSIENT = 1_000
"""Units of time that are dropped, for the series to be on its attractor."""
_STEPS_PER_UNIT = 10
_DECAY = 0.1

Series = NDArray[np.float64]


def make_mackey_glass(spec: MackeyGlass, seed: int) -> WindowDataset:
    """Windows of a series of 5,000 values; the target is the value `horizon` after the window.

    The first 70 % of the series are for training, the last 15 % for the test (`split_by_time`);
    it is scaled to mean 0 and standard deviation 1 over its training rows. The baseline is that of
    always predicting their mean: measured on the test windows it is about 1 (in the literature's
    words: an NRMSE of 1). Learned is half of it.

    Source:
        Mackey & Glass, "Oscillation and chaos in physiological control systems", Science 197
        (1977).
    """
    series_R = mackey_glass_series(seed, spec.tau, _ROWS)
    split = split_by_time([(0, _ROWS)], spec.seq_len, spec.horizon, num_inputs=1)
    scaled_R1, _ = scaled(series_R[:, np.newaxis], split.train_rows)
    # Moved up, so that the value after a window is the one `horizon` steps after its last row.
    target_R = scaled_R1[spec.horizon - 1 :, 0]
    baseline = float(np.mean(target_R[split.test_P].astype(np.float64) ** 2))
    task = Task(
        loss="squared_error",
        input_size=1,
        output_size=1,
        seq_len=spec.seq_len,
        dependency=None,
        baseline=baseline,
        learned_below=baseline / 2,
    )
    return WindowDataset(task, seed, scaled_R1, target_R, split)


def mackey_glass_series(seed: int, tau: int, rows: int) -> Series:
    """The solution of dx/dt = 0.2 x(t - tau) / (1 + x(t - tau)^10) - 0.1 x(t), once a unit of time.

    Before the start x is constant, drawn from U[0.5, 1.5) by the seed; the first 1,000 units are
    dropped.
    """
    start = 0.5 + float(draws(seed, "series").random())
    return integrate(start, tau, _TRANSIENT + rows)[_TRANSIENT:]


def integrate(start: float, tau: int, units: int) -> Series:
    """Integrate from t = 0 with x = start before it; x at t = 1, 2, ..., units, float64.

    Classical Runge-Kutta of fourth order in steps of 0.1; x(t - tau) half way through a step is
    the mean of its two ends. All of one delay's past is known when it begins, so that what drives
    it is computed at once.
    """
    per_delay = tau * _STEPS_PER_UNIT
    past_D = np.full(per_delay + 1, start)
    pieces = []
    for _ in range(-(-units // tau)):
        past_D = _one_delay(past_D)
        pieces.append(past_D[_STEPS_PER_UNIT::_STEPS_PER_UNIT])
    return np.concatenate(pieces)[:units]


def _one_delay(past_D: Series) -> Series:
    """From x over the last delay, both ends included, to x over the next one."""
    size = 1 / _STEPS_PER_UNIT
    ends, middles = _drive(past_D).tolist(), _drive((past_D[1:] + past_D[:-1]) / 2).tolist()
    x = float(past_D[-1])
    states = [x]
    for begin, middle, end in zip(ends[:-1], middles, ends[1:], strict=True):
        slope_1 = begin - _DECAY * x
        slope_2 = middle - _DECAY * (x + size / 2 * slope_1)
        slope_3 = middle - _DECAY * (x + size / 2 * slope_2)
        slope_4 = end - _DECAY * (x + size * slope_3)
        x += size / 6 * (slope_1 + 2 * slope_2 + 2 * slope_3 + slope_4)
        states.append(x)
    return np.array(states)


def _drive(delayed_D: Series) -> Series:
    return 0.2 * delayed_D / (1 + delayed_D**10)
