"""What to change: ranked patches, each one a valid spec, with its reason and its source."""

from worker.diagnosis.prescriptions.prescribe import prescribe, prescribe_lr

__all__ = ["prescribe", "prescribe_lr"]
