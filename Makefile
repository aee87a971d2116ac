.PHONY: demo test serve bench bench-memory bench-profile experiments experiments-long check openapi clean

PYTHON ?= python3
BIN := .venv/bin

# torch comes first and pinned: every later install finds it there and brings no second one.
.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1" "setuptools>=80"
	$(BIN)/python -m pip install --quiet "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --editable ".[gateway,worker,command,embedded,dev]"
	touch $@

demo: .venv/installed ## the two problems of the tutorial, and their cures, through the real service
	$(BIN)/python -m service.demo

serve: .venv/installed ## the embedded stack in the foreground
	$(BIN)/unroll serve

.venv/peers: .venv/installed
	$(BIN)/python -m pip install --quiet --editable ".[bench]"
	touch $@

bench: .venv/peers ## against plain torch, JAX, Lightning and Keras; ROWS="rnn lstm" picks rows
	$(BIN)/python -m benchmarks $(ROWS)

experiments: .venv/installed ## published behaviour that must come out, about three minutes
	$(BIN)/python -m tests.experiments

experiments-long: .venv/installed ## all of it, about an hour
	$(BIN)/python -m tests.experiments --long

bench-memory: .venv/installed ## what a training step holds in memory at its peak
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.memory

bench-profile: .venv/installed ## where the time of one LSTM training step goes
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.lstm_profile

check: .venv/installed ## format, lint, import walls, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

test: check ## everything above and every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

openapi: .venv/installed ## write openapi/openapi.json anew
	$(BIN)/python -m service.openapi

clean:
	rm -rf .venv data
