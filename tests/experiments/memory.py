"""Experiments on memory: which network learns a task of which length."""

import math
from typing import Final

from contract.diagnosis import Verdict
from tests.experiments.arms import (
    ADDING_BASELINE,
    ADDING_SOLVED,
    FORGET_BIAS,
    ORTHOGONAL,
    RECALL_SOLVED,
    adding,
    around,
    chrono,
    copy,
    job,
    order,
    patched,
    recall,
    recall_stuck,
    solved,
    stuck,
    until,
)
from tests.experiments.experiment import Band, Experiment, Measure, Published
from tests.experiments.skip_rnn_adding import open_skip_rnn_adding

_RECALL: Final = (
    Experiment(
        "E3a",
        "recall 30, tanh, torch's start",
        job(recall(30), "rnn", 500, remedy={}),
        recall_stuck(),
        Published("not learned: the gradient vanishes", "Pascanu et al. 2013"),
        verdict=Verdict.VANISHING_GRADIENT,
    ),
    Experiment(
        "E3a",
        "recall 60, tanh, torch's start",
        job(recall(60), "rnn", 2_000, remedy={}),
        recall_stuck(),
        Published("not learned: the gradient vanishes", "Pascanu et al. 2013"),
        verdict=Verdict.VANISHING_GRADIENT,
        is_quick=False,
    ),
    Experiment(
        "E3b",
        "recall 30, tanh, orthogonal start",
        until(job(recall(30), "rnn", 400, remedy={"init": ORTHOGONAL}), RECALL_SOLVED),
        solved(RECALL_SOLVED),
        Published("learned", "Henaff, Szlam & LeCun 2016"),
        verdict=Verdict.HEALTHY,
    ),
    Experiment(
        "E4a",
        "recall 200, LSTM, torch's start",
        job(recall(200), "lstm", 1_500, remedy={}, lr=5e-3),
        recall_stuck(),
        Published("stays at the baseline", "Tallec & Ollivier 2018"),
        verdict=Verdict.VANISHING_GRADIENT,
        is_quick=False,
    ),
    Experiment(
        "E4a",
        "recall 200, LSTM, forget bias 1",
        job(recall(200), "lstm", 1_500, remedy={"init": FORGET_BIAS}, lr=5e-3),
        recall_stuck(),
        Published("stays at the baseline", "Tallec & Ollivier 2018"),
        verdict=Verdict.VANISHING_GRADIENT,
        is_quick=False,
    ),
    Experiment(
        "E4b",
        "recall 200, LSTM, chrono start",
        until(job(recall(200), "lstm", 600, remedy={"init": chrono(200)}, lr=5e-3), RECALL_SOLVED),
        solved(RECALL_SOLVED),
        Published("learned", "Tallec & Ollivier 2018"),
        verdict=Verdict.HEALTHY,
        is_quick=False,
    ),
)

_ORDER: Final = (
    Experiment(
        "E5",
        "temporal order 30, tanh, orthogonal start",
        until(job(order(30), "rnn", 500, remedy={"init": ORTHOGONAL}), RECALL_SOLVED),
        solved(RECALL_SOLVED),
        Published("learned, with a regulariser", "Pascanu et al. 2013"),
        verdict=Verdict.HEALTHY,
    ),
    Experiment(
        "E6a",
        "temporal order 100, tanh, torch's start",
        job(order(100), "rnn", 2_000, remedy={}),
        around(math.log(4), 0.02),
        Published("1.386", "ln 4; the log in Pascanu et al.'s code"),
        verdict=Verdict.VANISHING_GRADIENT,
    ),
    Experiment(
        "E6a",
        "temporal order 100, LSTM, forget bias 1",
        job(order(100), "lstm", 2_000, remedy={"init": FORGET_BIAS}, lr=5e-3),
        around(math.log(4), 0.02),
        Published("1.386", "ln 4; the log in Pascanu et al.'s code"),
        verdict=Verdict.VANISHING_GRADIENT,
        is_quick=False,
    ),
    Experiment(
        "E6b",
        "temporal order 100, LSTM, chrono start",
        until(job(order(100), "lstm", 800, remedy={"init": chrono(100)}, lr=5e-3), RECALL_SOLVED),
        solved(RECALL_SOLVED),
        Published("learned by an LSTM", "Hochreiter & Schmidhuber 1997, task 6a"),
        verdict=Verdict.HEALTHY,
    ),
)

_ADDING_50: Final = patched(
    job(adding(50), "gru", 2_500, remedy={}), {"cell": {"hidden_size": 110}}
)

_ADDING: Final = (
    Experiment(
        "E7a",
        "adding 100, tanh, torch's start",
        job(adding(100), "rnn", 5_000, remedy={}),
        stuck(0.14, ADDING_BASELINE * 1.1),
        Published("0.177 at 600 steps", "Bai, Kolter & Koltun 2018, table 1"),
        verdict=Verdict.VANISHING_GRADIENT,
        is_quick=False,
    ),
    Experiment(
        "E7b",
        "adding 100, GRU",
        until(job(adding(100), "gru", 1_200, remedy={}, lr=5e-3), ADDING_SOLVED),
        solved(ADDING_SOLVED),
        Published("5.3e-5 at 600 steps", "Bai, Kolter & Koltun 2018, table 1"),
        verdict=Verdict.HEALTHY,
    ),
    Experiment(
        "E7c",
        "adding 100, LSTM, forget bias 1",
        until(
            job(adding(100), "lstm", 3_000, remedy={"init": FORGET_BIAS}, lr=5e-3), ADDING_SOLVED
        ),
        solved(ADDING_SOLVED),
        Published("learned in 74,000 sequences", "Hochreiter & Schmidhuber 1997"),
        verdict=Verdict.HEALTHY,
        is_quick=False,
    ),
    Experiment(
        "E8",
        "adding 100, IRNN",
        until(
            job(
                adding(100),
                "rnn",
                10_000,
                remedy={"activation": {"kind": "relu"}, "init": {"kind": "identity"}},
            ),
            ADDING_SOLVED,
        ),
        solved(ADDING_SOLVED),
        Published("learned at 150 steps", "Le, Jaitly & Hinton 2015"),
        is_quick=False,
    ),
    Experiment(
        "E13",
        "adding 50 as published with it, Skip GRU of 110 units",
        until(
            patched(_ADDING_50, {"remedy": {"skip": {"kind": "learned", "cost": 0.0}}}),
            ADDING_SOLVED,
        ),
        (*solved(ADDING_SOLVED), Band(Measure.UPDATE_FRACTION, 0.85, 1)),
        Published("learned, 97.9 ± 3.2 % of the steps updated", "Campos et al. 2018, table 1"),
        verdict=Verdict.HEALTHY,
        is_quick=False,
        open_data=open_skip_rnn_adding,
    ),
    Experiment(
        "E13",
        "adding 50 as published with it, GRU of 110 units",
        until(_ADDING_50, ADDING_SOLVED),
        solved(ADDING_SOLVED),
        Published("learned", "Campos et al. 2018, table 1"),
        verdict=Verdict.HEALTHY,
        is_quick=False,
        open_data=open_skip_rnn_adding,
    ),
)

_COPY_SOLVED = 0.01

_COPY: Final = (
    Experiment(
        "E9a",
        "copy 50, modReLU, W_hh kept orthogonal",
        until(
            job(
                copy(50),
                "rnn",
                1_000,
                remedy={
                    "activation": {"kind": "mod_relu"},
                    "init": {**ORTHOGONAL, "constraint": True},
                },
                lr=2e-3,
            ),
            _COPY_SOLVED,
        ),
        solved(_COPY_SOLVED),
        Published("learned at 1000 blanks", "Lezcano-Casado & Martínez-Rubio 2019"),
        verdict=Verdict.HEALTHY,
        is_quick=False,
    ),
    *(
        Experiment(
            "E9b",
            f"copy {lag}, LSTM, forget bias 1",
            job(copy(lag), "lstm", 3_000, remedy={"init": FORGET_BIAS}, lr=5e-3),
            stuck(0.12, 10 * math.log(8) / (lag + 20) * 1.1),
            Published("0.0204, the baseline, at 1000", "Bai, Kolter & Koltun 2018, table 1"),
            is_quick=False,
        )
        for lag in (50, 100)
    ),
)

MEMORY: Final = (*_RECALL, *_ORDER, *_ADDING, *_COPY)
