# make train: sets up .venv and trains configs/default.yaml
# make test:  sets up .venv and runs all tests
# make demo RUN=runs/mine: sets up .venv/demo and serves a page to try a model on
PYTHON ?= python3
BIN := .venv/bin
DEMO := .venv/demo/bin
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

.PHONY: train test demo
.NOTPARALLEL: # two pips in one environment would break it
train: .venv/ready
	$(BIN)/python train.py

test: .venv/ready-dev .venv/demo/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --dist worksteal

demo: .venv/demo/ready
	$(DEMO)/python -m crossent demo $(RUN)

# If a `ready` file is newer than its requirements, there is nothing to install.
.venv/ready: requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing about 6 GB into .venv: some minutes"
	$(BIN)/python $(PIP_INSTALL) -e .
	touch $@

.venv/ready-dev: requirements-dev.txt .venv/ready
	$(BIN)/python $(PIP_INSTALL) -r requirements-dev.txt
	touch $@

# gradio needs an older Pillow than training, so the demo has its own environment. Only the packages
# that differ are installed there; all others, such as torch, are imported from .venv.
SITE_PACKAGES := -c "import sysconfig; print(sysconfig.get_path('purelib'))"
.venv/demo/ready: requirements-demo.txt .venv/ready
	$(BIN)/python -m venv --clear .venv/demo
	$(BIN)/python $(SITE_PACKAGES) > "$$($(DEMO)/python $(SITE_PACKAGES))/below.pth"
	$(DEMO)/python $(PIP_INSTALL) -r requirements-demo.txt
	touch $@
