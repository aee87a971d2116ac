"""How the learning rate moves: schedules over the steps, and controllers that watch the loss."""

from worker.remedies.lr_control.controller import LrController, Verdict
from worker.remedies.lr_control.guarded import KEPT_SNAPSHOTS
from worker.remedies.lr_control.registry import make_lr_control

__all__ = ["KEPT_SNAPSHOTS", "LrController", "Verdict", "make_lr_control"]
