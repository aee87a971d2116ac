"""The Keras side, on whichever backend `KERAS_BACKEND` names: `train_on_batch`, step after step."""

import itertools

import keras

from benchmarks.sides.side import Start
from benchmarks.work import LR, MAX_NORM, OUTPUT_SIZE

_LAYERS = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM}


class KerasFit:
    """One job of an RNN or an LSTM.

    Raises:
        KeyError: it has another cell.
    """

    def __init__(self, start: Start) -> None:
        layer = _LAYERS[start.spec.cell.kind](start.spec.cell.hidden_size)
        readout = keras.layers.Dense(OUTPUT_SIZE)
        sequences = keras.Input(start.batches[0].x_NTI.shape[1:], len(start.batches[0].x_NTI))
        self._model = keras.Sequential([sequences, layer, readout])
        _give_weights(layer, readout, start)
        optimizer = keras.optimizers.Adam(LR, global_clipnorm=MAX_NORM)
        self._model.compile(optimizer=optimizer, loss="mse")
        self._batches = itertools.cycle(
            (batch.x_NTI, batch.target[:, -1]) for batch in start.batches
        )

    def run(self, steps: int) -> float:
        """Train that many steps."""
        return [float(self._model.train_on_batch(*next(self._batches))) for _ in range(steps)][-1]


def _give_weights(layer: keras.Layer, readout: keras.Layer, start: Start) -> None:
    """A job's first weights: Keras has its matrices transposed, and one bias for torch's two."""
    values = {name: value.numpy() for name, value in start.parameters.items()}
    bias = values["rnn.bias_ih_l0"] + values["rnn.bias_hh_l0"]
    layer.set_weights([values["rnn.weight_ih_l0"].T, values["rnn.weight_hh_l0"].T, bias])
    readout.set_weights([values["readout.weight"].T, values["readout.bias"]])
