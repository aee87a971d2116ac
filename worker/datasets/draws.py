"""Random numbers that depend on nothing but the seed, the purpose and the step."""

from typing import Literal

import numpy as np

Purpose = Literal["train", "validation", "test", "series", "dropout"]

_PURPOSE_KEYS: dict[Purpose, int] = {
    "train": 1,
    "validation": 2,
    "test": 3,
    "series": 4,
    "dropout": 5,
}


def draws(seed: int, purpose: Purpose, step: int = 0) -> np.random.Generator:
    """Random generator of one step, the same however one got there.

    The key of the counter-based Philox is (seed, purpose) and the highest word of its counter is
    the step, so two steps or two purposes never share a number (each has 2^192 blocks to itself).

    Args:
        seed: from 0 to 2^64 - 1.
        purpose: what the numbers are for; keeps held-out data apart from training data, and what
            is drawn for the network apart from either.
        step: optimizer step, from 0 to 2^64 - 1; 0 for what belongs to no step.

    Source:
        Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    key = np.array([seed, _PURPOSE_KEYS[purpose]], dtype=np.uint64)
    counter = np.array([0, 0, 0, step], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))
