# make demo: fit the embedded data set.   make test: run the tests.   make docs: build the site.
# All install what they need, once, into .venv.

PYTHON ?= $(firstword $(foreach python,python3.11 python3.12 python3.13 python3.14 python3,\
	$(shell $(python) -c 'import sys; print(sys.executable)' 2>/dev/null)))
VENV ?= .venv
BIN := $(VENV)/bin

# The matrices are small, and threads that wait for a busy core are slow.
export OMP_NUM_THREADS ?= 1

PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

.PHONY: demo test coverage fuzz test-lowest test-browser lint docs clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	$(BIN)/scproto demo --out demo_run --overwrite

# Each file in one process, of which there are as many as cores, at most four.
test: $(VENV)/installed
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

# The tests, and the lines that none of them runs.
coverage: $(VENV)/installed
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

# Odd input by the thousand; the tests try one hundred. Each find gets a test of its own.
fuzz: $(VENV)/installed
	SCPROTO_FUZZ=$(or $(EXAMPLES),5000) $(BIN)/python -m pytest tests/fuzz

# The report in a browser: needs a Chromium, the system's or that of `playwright install chromium`.
test-browser: $(VENV)/installed
	$(BIN)/python $(PIP_INSTALL) --constraint constraints/tested.txt --group browser
	$(BIN)/python -m pytest -m browser

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Some minutes, as the tutorials are run. The site is then in docs/_build/html.
# Without the second variable the first use of numba, as in UMAP, raises the number of OpenMP's threads.
docs: export NUMBA_NUM_THREADS ?= 1
docs: $(VENV)/installed-docs
	rm -rf docs/_build docs/api/generated
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

# The oldest versions that pyproject.toml allows (Python 3.11). Old libraries warn about newer ones: no errors.
test-lowest: .venv-lowest/installed
	.venv-lowest/bin/python -m pytest -W default

$(VENV)/installed: constraints/tested.txt
$(VENV)/installed: GROUP := dev
.venv-lowest/installed: constraints/lowest.txt
.venv-lowest/installed: GROUP := test

$(VENV)/installed-docs: $(VENV)/installed constraints/docs.txt
	$(BIN)/python $(PIP_INSTALL) --constraint constraints/tested.txt --constraint constraints/docs.txt --group docs
	touch $@

# Groups of dependencies need pip 25.1, and a new environment may have an older one.
# The stamp is written last, so a failed installation is repeated.
%/installed: pyproject.toml
	@test -n '$(PYTHON)' || { echo 'No Python 3.11 or newer found: set it with make PYTHON=/path/to/python.' >&2; exit 1; }
	@echo 'Installing into $* with $(PYTHON): this takes a few minutes, once.'
	$(PYTHON) -m venv $*
	$*/bin/python $(PIP_INSTALL) --upgrade 'pip>=25.1'
	$*/bin/python $(PIP_INSTALL) --constraint $(filter constraints/%,$^) --editable . --group $(GROUP)
	touch $@

clean:
	rm -rf .venv .venv-lowest .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage*
	rm -rf build dist demo_run docs/_build docs/api/generated
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
