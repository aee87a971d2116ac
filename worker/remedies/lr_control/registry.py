"""From the spec of an lr control to its controller."""

from contract.spec import (
    Constant,
    Cosine,
    Exponential,
    Guarded,
    LrControl,
    OneCycle,
    Plateau,
    RangeTest,
    Step,
)
from worker.remedies.lr_control.controller import LrController
from worker.remedies.lr_control.guarded import GuardedLr
from worker.remedies.lr_control.plateau import PlateauLr
from worker.remedies.lr_control.range_test import RangeTestLr
from worker.remedies.lr_control.schedules import (
    ConstantLr,
    CosineLr,
    ExponentialLr,
    OneCycleLr,
    StepLr,
)


def make_lr_control(  # noqa: PLR0911 - one for each kind
    control: LrControl | None, lr: float, max_steps: int
) -> LrController:
    """The controller of one job.

    Args:
        control: the remedy; None is a constant learning rate.
        lr: the optimizer's learning rate, which the control multiplies; a range test has its own.
        max_steps: last step of the training, where cosines and the range test end.
    """
    match control:
        case None | Constant():
            return ConstantLr(lr)
        case Step():
            return StepLr(lr, control)
        case Exponential():
            return ExponentialLr(lr, control)
        case Cosine():
            return CosineLr(lr, control, max_steps)
        case OneCycle():
            return OneCycleLr(lr, control, max_steps)
        case Plateau():
            return PlateauLr(lr, control)
        case RangeTest():
            return RangeTestLr(control, max_steps)
        case Guarded():
            return GuardedLr(lr, control)
