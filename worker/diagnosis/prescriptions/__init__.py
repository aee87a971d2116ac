"""What to change: ranked patches, each one a valid spec, with its reason and its source."""

from worker.diagnosis.prescriptions.prescribe import prescribe

__all__ = ["prescribe"]
