"""The optimizers' rules as kernels for the CPU: the same numbers, bit for bit, in one pass.

Shapes: K jobs of a pack, P parameters of one job, C coefficients of a rule.

Each takes the coefficients of job k from row k of a float64 table and rounds them to float32, as
the rules on tensors do. Nothing is contracted or reordered, so each operation rounds by itself.
Only the rows of active jobs are read and written.
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
    active_K: Flags,
) -> None:
    """Coefficients: lr, weight decay, momentum. Without any momentum its buffer is (K, 0)."""
    coefficients = coefficients_KC.astype(np.float32)
    has_momentum = momentum_KP.shape[1] > 0
    for job in np.flatnonzero(active_K):
        parameters_P, gradients_P = parameters_KP[job], gradients_KP[job]
        lr, decay, keep = coefficients[job, 0], coefficients[job, 1], coefficients[job, 2]
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
    active_K: Flags,
) -> None:
    """Coefficients: lr, weight decay, momentum, alpha, 1-alpha, eps."""
    coefficients = coefficients_KC.astype(np.float32)
    has_momentum = momentum_KP.shape[1] > 0
    for job in np.flatnonzero(active_K):
        parameters_P, gradients_P = parameters_KP[job], gradients_KP[job]
        square_P, momentum_P = square_KP[job], momentum_KP[job]
        lr, decay, keep = coefficients[job, 0], coefficients[job, 1], coefficients[job, 2]
        old, new, eps = coefficients[job, 3], coefficients[job, 4], coefficients[job, 5]
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
    coefficients_KC: Doubles,
    active_K: Flags,
) -> None:
    """Coefficients: lr/(1-beta1^t), sqrt(1-beta2^t), L2 penalty, decay, eps, and the betas.

    The decay is 1 - lr * weight decay where that is decoupled, else 1; the betas are beta1,
    1-beta1, beta2, 1-beta2.
    """
    coefficients = coefficients_KC.astype(np.float32)
    for job in np.flatnonzero(active_K):
        parameters_P, gradients_P = parameters_KP[job], gradients_KP[job]
        mean_P, square_P = mean_KP[job], square_KP[job]
        lr, root, penalty = coefficients[job, 0], coefficients[job, 1], coefficients[job, 2]
        shrink, eps = coefficients[job, 3], coefficients[job, 4]
        keep1, take1 = coefficients[job, 5], coefficients[job, 6]
        keep2, take2 = coefficients[job, 7], coefficients[job, 8]
        for at in range(parameters_P.size):
            gradient = parameters_P[at] * penalty + gradients_P[at]
            mean_P[at] = mean_P[at] * keep1 + gradient * take1
            square_P[at] = square_P[at] * keep2 + gradient * gradient * take2
            direction = mean_P[at] / (np.sqrt(square_P[at]) / root + eps)
            parameters_P[at] = parameters_P[at] * shrink - direction * lr
