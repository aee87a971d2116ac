"""The optimizers' rules as kernels for the CPU: the same operations, number by number, in one pass.

Shapes: K jobs of a pack, P parameters of one job, C coefficients of a rule.

Coefficients are float64 and rounded to float32 where they are used, as the rules on tensors do.
Nothing is contracted or reordered, so each operation rounds by itself, to the same bits but for the
root: torch's may be an ulp off on a CPU. Only the rows of active jobs are read and written.
"""

import numpy as np
from numpy.typing import NDArray

from worker.cells.compiled import compiled_exactly

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]


@compiled_exactly
def step_sgd(
    parameters_KP: Floats,
    gradients_KP: Floats,
    momentum_KP: Floats,
    coefficients_KC: Doubles,
    lr_K: Doubles,
    active_K: Flags,
) -> None:
    """Coefficients: weight decay, momentum. Without any momentum its buffer is (K, 0)."""
    has_momentum = momentum_KP.shape[1] > 0
    for job in np.flatnonzero(active_K):
        parameters_P, gradients_P = parameters_KP[job], gradients_KP[job]
        lr = np.float32(lr_K[job])
        decay, keep = np.float32(coefficients_KC[job, 0]), np.float32(coefficients_KC[job, 1])
        if has_momentum:
            momentum_P = momentum_KP[job]
            for at in range(parameters_P.size):
                direction = parameters_P[at] * decay + gradients_P[at]
                momentum_P[at] = momentum_P[at] * keep + direction
                parameters_P[at] -= momentum_P[at] * lr
        else:
            for at in range(parameters_P.size):
                parameters_P[at] -= (parameters_P[at] * decay + gradients_P[at]) * lr


@compiled_exactly
def step_rmsprop(
    parameters_KP: Floats,
    gradients_KP: Floats,
    square_KP: Floats,
    momentum_KP: Floats,
    coefficients_KC: Doubles,
    lr_K: Doubles,
    active_K: Flags,
) -> None:
    """Coefficients: weight decay, momentum, alpha, eps."""
    has_momentum = momentum_KP.shape[1] > 0
    for job in np.flatnonzero(active_K):
        parameters_P, gradients_P = parameters_KP[job], gradients_KP[job]
        square_P, momentum_P = square_KP[job], momentum_KP[job]
        lr, decay = np.float32(lr_K[job]), np.float32(coefficients_KC[job, 0])
        keep, eps = np.float32(coefficients_KC[job, 1]), np.float32(coefficients_KC[job, 3])
        old, new = np.float32(coefficients_KC[job, 2]), np.float32(1 - coefficients_KC[job, 2])
        for at in range(parameters_P.size):
            gradient = parameters_P[at] * decay + gradients_P[at]
            square_P[at] = square_P[at] * old + gradient * gradient * new
            direction = gradient / (np.sqrt(square_P[at]) + eps)
            if has_momentum:
                direction = momentum_P[at] * keep + direction
                momentum_P[at] = direction
            parameters_P[at] -= direction * lr


@compiled_exactly
def step_adam(
    parameters_KP: Floats,
    gradients_KP: Floats,
    mean_KP: Floats,
    square_KP: Floats,
    powers: tuple[Doubles, Doubles],
    coefficients_KC: Doubles,
    lr_K: Doubles,
    active_K: Flags,
) -> None:
    """Coefficients: L2 penalty, decoupled decay, beta1, beta2, eps; `powers` are beta^t, (K, 1)."""
    for job in np.flatnonzero(active_K):
        parameters_P, gradients_P = parameters_KP[job], gradients_KP[job]
        mean_P, square_P = mean_KP[job], square_KP[job]
        beta1, beta2 = coefficients_KC[job, 2], coefficients_KC[job, 3]
        powers[0][job, 0] *= beta1
        powers[1][job, 0] *= beta2
        lr = np.float32(lr_K[job] / (1 - powers[0][job, 0]))
        root = np.float32(np.sqrt(1 - powers[1][job, 0]))
        penalty, eps = np.float32(coefficients_KC[job, 0]), np.float32(coefficients_KC[job, 4])
        shrink = np.float32(1 - lr_K[job] * coefficients_KC[job, 1])
        keep1, take1 = np.float32(beta1), np.float32(1 - beta1)
        keep2, take2 = np.float32(beta2), np.float32(1 - beta2)
        for at in range(parameters_P.size):
            gradient = parameters_P[at] * penalty + gradients_P[at]
            mean_P[at] = mean_P[at] * keep1 + gradient * take1
            square_P[at] = square_P[at] * keep2 + gradient * gradient * take2
            direction = mean_P[at] / (np.sqrt(square_P[at]) / root + eps)
            parameters_P[at] = parameters_P[at] * shrink - direction * lr
