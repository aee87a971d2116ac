"""Collects what training yields of one job, and diagnoses it, for the store to keep."""

import time
from array import array
from collections import deque

import numpy as np

from contract.curve import SERIES, Curve
from contract.diagnosis import Diagnosis
from contract.flow import Flow
from contract.job import Latest
from contract.spec import JobSpec
from contract.store import Evaluation, NewEvent, Report
from contract.store.rows import finite_or_none
from worker.datasets.task import Task
from worker.diagnosis.diagnose import diagnose
from worker.diagnosis.history import History
from worker.training.records import End, EvalRecord, Event, FlowRecord, JobStep

# The rules read a window of recent flow records; a long run would hold thousands.
_FLOWS_KEPT = 200
# The newest events tell how often it was rolled back, and the suggested lr.
_EVENTS_KEPT = 200
# Diagnosing reads the whole curve, so a long run is not diagnosed at every evaluation: there are
# at least 2 s in between, and 500 times what the last one took, so that the 16 jobs of a pack
# spend 3 % of the time on it at most.
_DIAGNOSIS_EVERY_S = 2.0
_DIAGNOSIS_PAUSE = 500.0


class Reporter:
    """The record of one job's training, given away in reports as it grows."""

    def __init__(self, job_id: str, spec: JobSpec, task: Task) -> None:
        self._job_id = job_id
        self._spec = spec
        self._task = task
        self._series = {name: array("d") for name in SERIES}
        self._evals: list[EvalRecord] = []
        self._flows: deque[FlowRecord] = deque(maxlen=_FLOWS_KEPT)
        self._events: deque[Event] = deque(maxlen=_EVENTS_KEPT)
        self._unsent_evals: list[EvalRecord] = []
        self._unsent_flows: list[FlowRecord] = []
        self._unsent_events: list[Event] = []
        self._sent_steps = 0
        self._started = time.monotonic()
        self._next_diagnosis = self._started

    def add(self, step: JobStep) -> None:
        """Take in one step."""
        for name, values in self._series.items():
            values.append(getattr(step.record, name))
        if step.evaluation:
            self._evals.append(step.evaluation)
            self._unsent_evals.append(step.evaluation)
        if step.flow:
            self._flows.append(step.flow)
            self._unsent_flows.append(step.flow)
        self._events.extend(step.events)
        self._unsent_events.extend(step.events)

    def take_report(self) -> Report:
        """What came since the last report, with a diagnosis if it is time for one."""
        return self._take(self._running_diagnosis())

    def take_last_report(self, end: End) -> Report:
        """What came since the last report, with the final diagnosis."""
        return self._take(self._diagnose(end))

    def _running_diagnosis(self) -> Diagnosis | None:
        is_news = bool(self._unsent_evals or self._unsent_flows or self._unsent_events)
        started = time.monotonic()
        if not is_news or started < self._next_diagnosis:
            return None
        diagnosis = self._diagnose(None)
        ended = time.monotonic()
        pause = max(_DIAGNOSIS_EVERY_S, _DIAGNOSIS_PAUSE * (ended - started))
        self._next_diagnosis = ended + pause
        return diagnosis

    def _diagnose(self, end: End | None) -> Diagnosis:
        history = History(
            spec=self._spec,
            task=self._task,
            loss_S=np.array(self._series["loss"]),
            lr_S=np.array(self._series["lr"]),
            grad_norm_S=np.array(self._series["grad_norm"]),
            clip_coef_S=np.array(self._series["clip_coef"]),
            update_ratio_S=np.array(self._series["update_ratio"]),
            evals=tuple(self._evals),
            flows=tuple(self._flows),
            events=tuple(self._events),
            end=end.reason if end else None,
            loss_final=end.loss_final if end else None,
        )
        return diagnose(self._job_id, history)

    def _take(self, diagnosis: Diagnosis | None) -> Report:
        first, total = self._sent_steps, len(self._series["loss"])
        curve = Curve(
            np.arange(first + 1, total + 1),
            {name: np.array(values[first:]) for name, values in self._series.items()},
        )
        report = Report(
            curve=curve,
            latest=self._latest(),
            steps_per_s=round(total / max(time.monotonic() - self._started, 1e-6), 1),
            evaluations=tuple(
                Evaluation(record.step, record.val_loss, record.val_metric)
                for record in self._unsent_evals
            ),
            flows=tuple(
                Flow(record.step, record.grad_norm_LT, record.weight_term_norm_LT, record.reach_L)
                for record in self._unsent_flows
            ),
            events=tuple(
                NewEvent(event.kind, event.detail, event.step) for event in self._unsent_events
            ),
            diagnosis=diagnosis,
        )
        self._sent_steps = total
        self._unsent_evals, self._unsent_flows, self._unsent_events = [], [], []
        return report

    def _latest(self) -> Latest:
        newest = self._evals[-1] if self._evals else None
        return Latest(
            loss=self._last("loss"),
            lr=self._last("lr"),
            grad_norm=self._last("grad_norm"),
            val_loss=finite_or_none(newest.val_loss) if newest else None,
            val_metric=finite_or_none(newest.val_metric) if newest else None,
        )

    def _last(self, name: str) -> float | None:
        values = self._series[name]
        return finite_or_none(values[-1]) if values else None
