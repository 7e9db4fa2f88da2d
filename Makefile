# `make demo` and `make test` are the README's two commands. Each first sets up what it needs, in
# .venv and with Debian's packages, and says what it installs; a second run finds it all there.

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/ready
PYTEST_ARGS ?=
DEMO_ARGS ?=
BENCHMARK_ARGS ?=
ROUTE_ARGS ?= --only units4 --only units8

.PHONY: help demo test soak lint format benchmark predict precision accuracy route setup clean

help:
	@echo "make demo       trained LSTM and GRU to verified Verilog (DEMO_ARGS='-t ecp5' to size for ECP5)"
	@echo "make test       all tests (PYTEST_ARGS='-k gru' for some of them)"
	@echo "make soak       further random cases of some tests; minutes"
	@echo "make lint       style and types"
	@echo "make format     put the sources into the style that lint asks for"
	@echo "make benchmark  what is missing in benchmarks/ (BENCHMARK_ARGS='--only top --synth xcup')"
	@echo "make predict    how many samples a second the reference evaluates"
	@echo "make precision  the fewest bits that the top taggers need; minutes"
	@echo "make accuracy   accuracy and speed against bits, beside hls4ml where it is installed"
	@echo "make route      place and route the small benchmark networks for ECP5; hours (ROUTE_ARGS='--only units4')"
	@echo "make setup      only install what the others need"
	@echo "make clean      remove .venv and everything that was built here"

demo: $(READY)
	$(VENV)/bin/rnnrtl demo $(DEMO_ARGS)

test: $(READY)
	$(VENV)/bin/python -m pytest -n auto --dist worksteal $(PYTEST_ARGS)

soak: $(READY)
	$(VENV)/bin/python -m pytest -n auto --dist worksteal -m soak $(PYTEST_ARGS)

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(READY)
	$(VENV)/bin/ruff check --fix-only --quiet .
	$(VENV)/bin/ruff format .

benchmark: $(READY)
	$(VENV)/bin/python -m benchmarks $(BENCHMARK_ARGS)

predict: $(READY)
	$(VENV)/bin/python -m benchmarks.predict

precision: $(READY)
	$(VENV)/bin/python -m benchmarks.precision

accuracy: $(READY)
	$(VENV)/bin/python -m benchmarks.accuracy

route: $(READY)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --editable '.[route]'
	$(VENV)/bin/python -m benchmarks --route $(ROUTE_ARGS)

setup: $(READY)

$(READY): pyproject.toml tools/setup
	@PYTHON="$(PYTHON)" sh tools/setup "$(VENV)"
	@touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
