"""What jobs must have in common to be trained together, as one short key."""

import hashlib
import json

from contract.spec import JobSpec


def pack_key(spec: JobSpec) -> str:
    """32 hexadecimal digits: equal for jobs whose tensors and operations are the same.

    The key covers dataset, cell, activation, skip, batch size, optimizer and device; numbers that
    only scale what is computed (seed, lr, init, clipping, slope, budgets) are each job's own.
    """
    document = spec.model_dump(mode="json")
    remedy, training = document["remedy"], document["training"]
    shared = {
        "dataset": document["dataset"],
        "cell": document["cell"],
        "activation": (remedy["activation"] or {"kind": "tanh"})["kind"],
        "skip": remedy["skip"],
        "batch_size": training["batch_size"],
        "optimizer": training["optimizer"]["kind"],
        "device": document["run"]["device"],
    }
    text = json.dumps(shared, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
