"""The JAX side: one compiled step, `lax.scan` over time, the input's projection before it.

Shapes: T time steps, B sequences, I inputs, H hidden units, G gates times H.
"""

import itertools
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.sides.side import Start
from benchmarks.work import LR, MAX_NORM
from worker.datasets.task import Batch

_BETA_1, _BETA_2, _EPS = 0.9, 0.999, 1e-8

Parameters = dict[str, jax.Array]


class _State(NamedTuple):
    """What a step changes: the parameters and Adam's moments."""

    parameters: Parameters
    mean: Parameters
    square: Parameters
    step: jax.Array


class JaxScan:
    """One job of an RNN or an LSTM.

    Raises:
        KeyError: it has another cell.
    """

    def __init__(self, start: Start) -> None:
        parameters = _adopt(start)
        zeros = {name: jnp.zeros_like(value) for name, value in parameters.items()}
        square = {name: jnp.zeros_like(value) for name, value in parameters.items()}
        self._state = _State(parameters, zeros, square, jnp.zeros(()))
        self._step = jax.jit(partial(_step, _FORWARDS[start.spec.cell.kind]), donate_argnums=0)
        self._batches = itertools.cycle([_as_arrays(batch) for batch in start.batches])

    def run(self, steps: int) -> float:
        """Train that many steps."""
        return [self._run_step() for _ in range(steps)][-1]

    def _run_step(self) -> float:
        self._state, loss = self._step(self._state, *next(self._batches))
        return float(loss)


def _adopt(start: Start) -> Parameters:
    """A job's first weights, as right factors of a product, and one bias instead of torch's two."""
    torch_parameters = {name: value.numpy() for name, value in start.parameters.items()}
    return {
        "weight_ih": jnp.array(torch_parameters["rnn.weight_ih_l0"].T),
        "weight_hh": jnp.array(torch_parameters["rnn.weight_hh_l0"].T),
        "bias": jnp.array(torch_parameters["rnn.bias_ih_l0"] + torch_parameters["rnn.bias_hh_l0"]),
        "readout_weight": jnp.array(torch_parameters["readout.weight"].T),
        "readout_bias": jnp.array(torch_parameters["readout.bias"]),
    }


def _as_arrays(batch: Batch) -> tuple[jax.Array, jax.Array]:
    return jnp.array(batch.x_NTI.swapaxes(0, 1)), jnp.array(batch.target[:, -1])


def _rnn(projected_TBH: jax.Array, weight_HH: jax.Array) -> jax.Array:
    def advance(h_BH: jax.Array, projected_BH: jax.Array) -> tuple[jax.Array, None]:
        return jnp.tanh(projected_BH + h_BH @ weight_HH), None

    last_BH, _ = jax.lax.scan(advance, jnp.zeros_like(projected_TBH[0]), projected_TBH)
    return last_BH


def _lstm(projected_TBG: jax.Array, weight_HG: jax.Array) -> jax.Array:
    def advance(
        state: tuple[jax.Array, jax.Array], projected_BG: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array], None]:
        h_BH, c_BH = state
        input_BH, forget_BH, new_BH, output_BH = jnp.split(projected_BG + h_BH @ weight_HG, 4, 1)
        kept_BH = jax.nn.sigmoid(forget_BH) * c_BH
        c_BH = kept_BH + jax.nn.sigmoid(input_BH) * jnp.tanh(new_BH)
        return (jax.nn.sigmoid(output_BH) * jnp.tanh(c_BH), c_BH), None

    zeros_BH = jnp.zeros((projected_TBG.shape[1], weight_HG.shape[0]))
    (last_BH, _), _ = jax.lax.scan(advance, (zeros_BH, zeros_BH), projected_TBG)
    return last_BH


# Last state from the projected input of all time steps and W_hh.
_Forward = Callable[[jax.Array, jax.Array], jax.Array]
_FORWARDS: dict[str, _Forward] = {"rnn": _rnn, "lstm": _lstm}


def _loss(
    parameters: Parameters, forward: _Forward, x_TBI: jax.Array, target_BO: jax.Array
) -> jax.Array:
    projected_TBG = x_TBI @ parameters["weight_ih"] + parameters["bias"]
    last_BH = forward(projected_TBG, parameters["weight_hh"])
    prediction_BO = last_BH @ parameters["readout_weight"] + parameters["readout_bias"]
    return jnp.mean((prediction_BO - target_BO) ** 2)


def _step(
    forward: _Forward, state: _State, x_TBI: jax.Array, target_BO: jax.Array
) -> tuple[_State, jax.Array]:
    loss, gradients = jax.value_and_grad(_loss)(state.parameters, forward, x_TBI, target_BO)
    return _adam(state, _clip(gradients)), loss


def _clip(gradients: Parameters) -> Parameters:
    norm = jnp.sqrt(sum(jnp.sum(gradient**2) for gradient in gradients.values()))
    factor = jnp.minimum(1.0, MAX_NORM / norm)
    return {name: factor * gradient for name, gradient in gradients.items()}


def _adam(state: _State, gradients: Parameters) -> _State:
    step = state.step + 1
    mean = {n: _BETA_1 * state.mean[n] + (1 - _BETA_1) * g for n, g in gradients.items()}
    square = {n: _BETA_2 * state.square[n] + (1 - _BETA_2) * g**2 for n, g in gradients.items()}
    root = jnp.sqrt(1 - _BETA_2**step)
    size = LR / (1 - _BETA_1**step)
    parameters = {
        n: value - size * mean[n] / (jnp.sqrt(square[n]) / root + _EPS)
        for n, value in state.parameters.items()
    }
    return _State(parameters, mean, square, step)
