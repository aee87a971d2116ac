"""The trained model as files: safetensors for the weights, JSON for what they belong to."""

import json
import tempfile
from pathlib import Path
from typing import Final

from safetensors.torch import save_file
from torch import Tensor

from contract.artifacts import Artifacts
from contract.store import Claim

MODEL_FILE: Final = "model.safetensors"
DESCRIPTION_FILE: Final = "model.json"


def store_model(artifacts: Artifacts, claim: Claim, parameters: dict[str, Tensor]) -> None:
    """Store the weights and the spec they were trained by, under the job's id.

    Both files are written before the job ends, so a succeeded job always has its model.
    """
    description = {
        "job_id": claim.lease.job_id,
        "spec": claim.spec.model_dump(mode="json"),
        "parameters": {name: list(tensor.shape) for name, tensor in parameters.items()},
    }
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in parameters.items()}
    with tempfile.TemporaryDirectory() as folder:
        weights, text = Path(folder) / MODEL_FILE, Path(folder) / DESCRIPTION_FILE
        save_file(contiguous, weights)
        text.write_text(json.dumps(description, indent=2))
        artifacts.put(weights, "jobs", claim.lease.job_id, MODEL_FILE)
        artifacts.put(text, "jobs", claim.lease.job_id, DESCRIPTION_FILE)
