"""From a peer's name to the peer."""

from collections.abc import Sequence

from benchmarks.row import Peer
from benchmarks.sides.ours import Ours
from benchmarks.sides.side import Side, Start
from benchmarks.work import NEVER, Work


def make_peer(peer: Peer, work: Work, starts: Sequence[Start]) -> Side:
    """The other side of a row, beginning as ours does; only its own library is loaded.

    Args:
        peer: its name.
        work: what is to be done.
        starts: of the work's jobs.

    Raises:
        ValueError: the peer trains one job and the work has several.
    """
    match peer:
        case "unmeasured":
            return Ours(work.specs(flow_every=NEVER))
        case "torch":
            from benchmarks.sides.networks import make_network
            from benchmarks.sides.torch_jobs import TorchJobs

            return TorchJobs(make_network, starts)
        case "skip-loop":
            from benchmarks.sides.skip_network import make_skip_network
            from benchmarks.sides.torch_jobs import TorchJobs

            return TorchJobs(make_skip_network, starts)
        case "jax":
            from benchmarks.sides.jax_scan import JaxScan

            return JaxScan(*starts)
        case "lightning":
            from benchmarks.sides.lightning_fit import LightningFit

            return LightningFit(*starts)
        case "keras-jax" | "keras-torch":
            from benchmarks.sides.keras_fit import KerasFit

            return KerasFit(*starts)
