"""Which cell a job spec's kind stands for."""

from collections.abc import Callable

from worker.cells.cell import RecurrentCell
from worker.cells.gru.reference import GruReference
from worker.cells.lstm.reference import LstmReference
from worker.cells.rnn.reference import RnnReference
from worker.remedies.activations import Nonlinearity

# Only the RNN has a nonlinearity to choose.
CELLS: dict[str, Callable[[Nonlinearity], RecurrentCell]] = {
    "rnn": RnnReference,
    "gru": lambda _: GruReference(),
    "lstm": lambda _: LstmReference(),
}
