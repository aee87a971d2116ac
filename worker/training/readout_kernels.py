"""The readout and its losses as a kernel for the CPU, equal to the tensor form within float32.

Shapes: K jobs of a pack, S targets of a sequence, B sequences, H features of the top layer,
O outputs.
"""

import numpy as np
from numpy.typing import NDArray

from worker.cells.compiled import compiled
from worker.cells.elementwise import exp_of_negatives
from worker.cells.matmul import (
    Floats,
    multiply,
    multiply_left_transposed,
    multiply_right_transposed,
)

Classes = NDArray[np.int64]


@compiled
def learn_rows(
    h_KSHB: Floats,
    weight_KOH: Floats,
    bias_KO: Floats,
    value_KSBO: Floats,
    class_KSB: Classes,
    num_targets: int,
) -> tuple[NDArray[np.float64], Floats, Floats, Floats]:
    """Judge the predictions and go back through the readout; one of the two targets is empty.

    Returns:
        Sum of the losses over `num_targets`, its gradients by h, and by weight and bias.
    """
    jobs, steps, _, sequences = h_KSHB.shape
    outputs = bias_KO.shape[1]
    loss_K, grad_h_KSHB = np.zeros(jobs), np.empty_like(h_KSHB)
    grad_weight_KOH, grad_bias_KO = np.zeros_like(weight_KOH), np.zeros_like(bias_KO)
    y_OB = np.empty((outputs, sequences), np.float32)
    powers_N = np.empty(outputs * sequences, np.int32)
    for job in range(jobs):
        for step in range(steps):
            multiply(weight_KOH[job], h_KSHB[job, step], y_OB, False)
            for output in range(outputs):
                y_OB[output] += bias_KO[job, output]
            if class_KSB.size:
                loss_K[job] += _to_class_gradient(y_OB, class_KSB[job, step], powers_N)
            else:
                loss_K[job] += _to_value_gradient(y_OB, value_KSBO[job, step])
            y_OB /= np.float32(num_targets)
            multiply_right_transposed(y_OB, h_KSHB[job, step], grad_weight_KOH[job], True)
            for output in range(outputs):
                grad_bias_KO[job, output] += y_OB[output].sum()
            multiply_left_transposed(weight_KOH[job], y_OB, grad_h_KSHB[job, step], False)
        loss_K[job] /= num_targets
    return loss_K, grad_h_KSHB, grad_weight_KOH, grad_bias_KO


@compiled
def _to_value_gradient(y_OB: Floats, value_BO: Floats) -> float:
    """Squared error, mean over outputs, summed; the predictions become its gradient."""
    outputs = y_OB.shape[0]
    total, twice = 0.0, np.float32(2 / outputs)
    for output in range(outputs):
        for sequence in range(y_OB.shape[1]):
            error = y_OB[output, sequence] - value_BO[sequence, output]
            total += np.float64(error) * np.float64(error)
            y_OB[output, sequence] = twice * error
    return float(total / outputs)


@compiled
def _to_class_gradient(y_OB: Floats, class_B: Classes, powers_N: NDArray[np.int32]) -> float:
    """Cross entropy, summed; the logits become its gradient."""
    outputs, sequences = y_OB.shape
    largest_B = y_OB[0].copy()
    for output in range(1, outputs):
        for sequence in range(sequences):
            value = y_OB[output, sequence]
            largest_B[sequence] = max(largest_B[sequence], value)
    chosen = 0.0
    for sequence in range(sequences):
        chosen += y_OB[class_B[sequence], sequence] - largest_B[sequence]
    for output in range(outputs):
        for sequence in range(sequences):
            y_OB[output, sequence] -= largest_B[sequence]
    exp_of_negatives(y_OB.reshape(-1), powers_N)
    sum_B = y_OB.sum(axis=0)
    for output in range(outputs):
        for sequence in range(sequences):
            y_OB[output, sequence] /= sum_B[sequence]
    for sequence in range(sequences):
        y_OB[class_B[sequence], sequence] -= np.float32(1)
    return float(np.log(sum_B.astype(np.float64)).sum() - chosen)
