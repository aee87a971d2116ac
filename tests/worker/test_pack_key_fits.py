from typing import Any

import pytest
from hypothesis import given, settings

from contract.merge_patch import apply_merge_patch
from contract.pack_key import pack_key
from contract.spec import JobSpec
from tests.contract.drawn_specs import drawn_specs
from worker.datasets.registry import open_dataset
from worker.datasets.task import Dataset
from worker.training.pack import Pack

# Everything a job of a pack may have of its own.
OWN_REMEDIES: dict[str, Any] = {"init": None, "clipping": {"kind": "norm"}, "lr_control": None}
OWN_NUMBERS: dict[str, Any] = {
    "training": {"seed": 7, "max_steps": 3, "optimizer": {"lr": 0.5}},
    "diagnostics": {"flow_every": 3},
}


def opened(spec: JobSpec) -> tuple[JobSpec, Dataset]:
    """The spec with its dataset."""
    seed = spec.training.seed
    return spec, open_dataset(spec.dataset, seed, lambda _: pytest.fail("no table is read"))


@settings(max_examples=30)
@given(drawn_specs().filter(lambda spec: spec.dataset.kind != "upload"))
def test_jobs_of_one_key_can_be_packed(spec: JobSpec) -> None:
    """Whatever jobs have one key, the trainer accepts them as one pack."""
    document = spec.model_dump(mode="json", exclude_none=True)
    document["remedy"] |= OWN_REMEDIES
    other = JobSpec.model_validate(apply_merge_patch(document, OWN_NUMBERS))

    assert pack_key(other) == pack_key(spec)
    assert Pack([opened(spec), opened(other)]).layout.num_parameters > 0
