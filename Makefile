# make train: sets up .venv and trains configs/default.yaml
# make test:  sets up .venv and runs all tests
PYTHON ?= python3
BIN := .venv/bin

.PHONY: train test
train: .venv/ready
	$(BIN)/python train.py

test: .venv/ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

# A stamp newer than its requirements says that there is nothing to install.
.venv/ready: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/ready-dev: requirements-dev.txt requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@ .venv/ready
