# A newcomer's two commands are `make demo` and `make test`. Both install first; the second time they find it done.

PYTHON ?= python3
JOBS   ?= 2
VENV   := .venv
RUN    := $(VENV)/bin/python
PIP    := $(RUN) -m pip install --quiet --disable-pip-version-check --no-input
LOCKED := $(VENV)/.locked
STAMP  := $(VENV)/.installed
TOOLS  := .toolchains
GUESTS := tests/toolchains

.DELETE_ON_ERROR:
.PHONY: install demo test check bench toolchains clean

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

# What guests in other languages are built with, as far as it can be had; a test whose toolchain is missing is skipped.
# Rust, Go and Node are the machine's own. npm install, since npm ci wants every other system's packages in the lock, and npm leaves them out.
toolchains: $(TOOLS)/.zig $(TOOLS)/.node
	@if command -v rustup >/dev/null; then rustup target add wasm32-wasip2 || echo "rustup cannot add wasm32-wasip2"; \
	  else echo "there is no rustup"; fi
	@command -v go >/dev/null || echo "there is no go"

$(TOOLS)/.zig: $(GUESTS)/zig.txt | $(STAMP)
	rm -rf $(TOOLS)/python
	$(PIP) --require-hashes --only-binary :all: --target $(TOOLS)/python -r $(GUESTS)/zig.txt
	@touch $@

$(TOOLS)/.node: $(GUESTS)/javascript/package.json $(GUESTS)/javascript/package-lock.json
	@if command -v npm >/dev/null; then \
	  mkdir -p $(TOOLS)/node && cp $^ $(TOOLS)/node && cd $(TOOLS)/node && npm install --no-audit --no-fund && touch ../.node; \
	  else echo "there is no npm"; fi

clean:
	rm -rf $(VENV) $(TOOLS) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
