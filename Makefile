# A newcomer's two commands are `make demo` and `make test`. Both install first; the second time they find it done.

PYTHON ?= python3
JOBS   ?= 2
VENV   := .venv
RUN    := $(VENV)/bin/python
PIP    := $(RUN) -m pip install --quiet --disable-pip-version-check --no-input
LOCKED := $(VENV)/.locked
STAMP  := $(VENV)/.installed

.DELETE_ON_ERROR:
.PHONY: install demo test check bench clean

install: $(STAMP)

# A changed lock makes a new environment, so that it holds what the lock names and nothing else.
$(LOCKED): requirements.lock
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "error: there is no '$(PYTHON)'. Install CPython 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: Theater needs CPython 3.11 or newer, and '$(PYTHON)' is $$("$(PYTHON)" -V 2>&1)." >&2; \
	  echo "       Name a newer one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "error: '$(PYTHON)' cannot make virtual environments: its venv and ensurepip modules are in a package of their own." >&2; \
	  echo "       Debian, Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	"$(PYTHON)" -m venv --clear $(VENV)
	$(PIP) --require-hashes --only-binary :all: -r requirements.lock
	@touch $@

$(STAMP): $(LOCKED) pyproject.toml
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)
	$(RUN) examples/demo.py

test: $(STAMP)
	$(RUN) -m pytest -n $(JOBS)

# What a change must pass before it is shown to anybody. Under a minute: tests marked slow run in `make test` alone.
check: $(STAMP)
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	@echo "$(RUN) -m mypy --strict src tests & $(RUN) -m pytest -q -n $(JOBS) -m 'not slow'"
	@$(RUN) -m mypy --strict src tests & types=$$!; \
	  $(RUN) -m pytest -q -n $(JOBS) -m "not slow"; tests=$$?; \
	  wait $$types && exit $$tests

bench: $(STAMP)
	$(RUN) benchmarks/run.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
