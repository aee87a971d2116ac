"""The program one writes without a service: 500 steps of an RNN on the adding problem.

Run by `benchmarks.cold_start` as `python plain.py`; it does what the job beside it does, but
measures nothing.
"""

import torch
from torch import nn

STEPS, BATCH_SIZE, SEQ_LEN, HIDDEN_SIZE = 500, 32, 100, 64

rnn = nn.RNN(2, HIDDEN_SIZE)
readout = nn.Linear(HIDDEN_SIZE, 1)
parameters = [*rnn.parameters(), *readout.parameters()]
optimizer = torch.optim.Adam(parameters, lr=1e-3)
rows = torch.arange(BATCH_SIZE)
for step in range(1, STEPS + 1):
    values = torch.rand(SEQ_LEN, BATCH_SIZE)
    markers = torch.zeros(SEQ_LEN, BATCH_SIZE)
    markers[torch.randint(0, SEQ_LEN // 2, (BATCH_SIZE,)), rows] = 1
    markers[torch.randint(SEQ_LEN // 2, SEQ_LEN, (BATCH_SIZE,)), rows] = 1
    target = (values * markers).sum(0)
    states, _ = rnn(torch.stack([values, markers], dim=2))
    loss = nn.functional.mse_loss(readout(states[-1])[:, 0], target)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    print(step, loss.item())  # noqa: T201 - the curve of a program without a service
