"""One job's way through its training: its learning rate, its evaluations, and its end."""

from collections.abc import Callable
from dataclasses import dataclass

from contract.spec import JobSpec
from worker.datasets.task import Batch, Dataset
from worker.remedies.lr_control import Verdict, make_lr_control
from worker.training.records import End, EndReason, EvalRecord, Event, StepRecord

MAX_REFUSALS = 5
"""Refused updates in a row after which a job ends."""

RADIUS_EVERY = 50
"""Steps between two spectral radii, at least: one costs a sixth of a training step."""

# Gives the mean loss and the accuracy (None for squared error) on held-out sequences.
Judge = Callable[[Batch], tuple[float, float | None]]


@dataclass(frozen=True)
class Conclusion:
    """What came out of a step for one job."""

    evaluation: EvalRecord | None
    events: tuple[Event, ...]
    end: End | None


class JobRun:
    """What one job needs besides tensors; everything here is its own, nothing the pack's."""

    def __init__(self, spec: JobSpec, dataset: Dataset) -> None:
        self.running = True
        self._spec = spec
        self._dataset = dataset
        self._refusals = 0
        self._verdict: Verdict | None = None
        self._validation: Batch | None = None
        training = spec.training
        self._lr_control = make_lr_control(
            spec.remedy.lr_control, training.optimizer.lr, training.max_steps
        )

    def batch(self, step: int) -> Batch:
        """The training batch of a step."""
        return self._dataset.batch(step, self._spec.training.batch_size)

    def lr(self, step: int) -> float:
        """Learning rate of a step; 0 once the job has ended."""
        return self._lr_control.lr(step) if self.running else 0.0

    def is_flow_step(self, step: int) -> bool:
        """Whether the gradient's flow is recorded at this step."""
        return self.running and (step == 1 or step % self._spec.diagnostics.flow_every == 0)

    def is_radius_step(self, step: int) -> bool:
        """Whether the spectral radius is recorded, too: at the first flow step of each 50 steps."""
        before = step - self._spec.diagnostics.flow_every
        return self.is_flow_step(step) and (
            step == 1 or step // RADIUS_EVERY > before // RADIUS_EVERY
        )

    def wants_snapshot(self, step: int) -> bool:
        """Whether the job's state after a step is to be kept; 0 is before the first."""
        return self.running and self._lr_control.wants_snapshot(step)

    def must_go_back(self, record: StepRecord, *, updated: bool) -> bool:
        """Take in what a step brought; whether the state kept last is to be taken up again.

        Args:
            record: of the step just done.
            updated: False if its update was refused.
        """
        self._verdict = self._lr_control.observe_step(
            record.step, record.loss, record.grad_norm, updated=updated
        )
        goes_back = self._verdict is Verdict.ROLL_BACK
        self._refusals = 0 if updated or goes_back else self._refusals + 1
        return goes_back

    def conclude(self, step: int, judge: Judge) -> Conclusion:
        """Evaluate if it is due, and end if there is a reason; the last step is evaluated.

        Args:
            step: just done.
            judge: of the parameters after the step.
        """
        reason = self._exhausted(step)
        if reason is None and step % self._spec.training.eval_every:
            return Conclusion(None, tuple(self._lr_control.take_events()), None)
        evaluation = self._evaluate(step, judge)
        self._lr_control.observe_evaluation(step, evaluation.val_loss)
        if self._is_good_enough(evaluation):
            reason = EndReason.TARGET
        end = self._end(reason, judge) if reason else None
        return Conclusion(evaluation, tuple(self._lr_control.take_events()), end)

    def leave(self) -> None:
        """Take part no longer; nothing is evaluated."""
        self.running = False
        self._validation = None

    def _exhausted(self, step: int) -> EndReason | None:
        if self._refusals >= MAX_REFUSALS:
            return EndReason.NONFINITE
        if self._verdict is Verdict.STOP:
            return EndReason.LR_CONTROL
        return EndReason.MAX_STEPS if step >= self._spec.training.max_steps else None

    def _evaluate(self, step: int, judge: Judge) -> EvalRecord:
        # Kept: made-up datasets draw it anew at every call.
        self._validation = self._validation or self._dataset.validation()
        val_loss, accuracy = judge(self._validation)
        unit_scale = self._dataset.task.unit_scale
        if accuracy is None and unit_scale != 1:
            return EvalRecord(step, val_loss, val_loss * unit_scale)
        return EvalRecord(step, val_loss, accuracy)

    def _is_good_enough(self, evaluation: EvalRecord) -> bool:
        stop = self._spec.training.stop
        return stop is not None and evaluation.val_loss < stop.below

    def _end(self, reason: EndReason, judge: Judge) -> End:
        self.leave()
        loss, _ = judge(self._dataset.test())
        return End(reason, loss * self._dataset.task.unit_scale)
