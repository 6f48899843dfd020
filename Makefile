PYTHON ?= python3
BIN := .venv/bin
DATA ?= ../shared/data

.PHONY: demo test lint lungs bars

# One environment for everything, made once. On Linux without a GPU, pip's index may offer a large CUDA build of torch;
# the constraints name versions, not builds, so a torch that is installed already (see docs/install.md) is kept.
.venv: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch .venv

demo: .venv
	$(BIN)/radrl demo --out runs/demo --resume

test: .venv
	$(BIN)/pytest

lint: .venv
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
