# make demo, test, lint, bench and accuracy set up what they need by themselves: Python 3.10 or newer with venv is enough.
# make lab needs npm, too; CODEX=0.169.0 has it run that version alone.
# PYTHON=python3.12 chooses another interpreter, VENV=folder another place; ARGS="-k journal" goes to pytest or bench.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
CODEX ?= $(shell cat tests/lab/codex-versions.txt)

python = $(VENV)/bin/python
pip = $(python) -m pip install -qq

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_ROOT_USER_ACTION = ignore

.PHONY: demo test test-backends lint bench accuracy dashboards fuzz lab lab-openclaw clean

demo: $(VENV)/.gateway
	@$(python) -m examples.gateway.demo

test: $(VENV)/.test
	@$(python) -m pytest $(ARGS)

# Phoenix is for these tests alone (Elastic License 2.0) and has an environment of its own: 850 MB, once.
# PICTURE=docs/phoenix.png keeps what its page looks like.
test-backends: export TURNSCOPE_PHOENIX = $(VENV)/phoenix/bin/python
test-backends: export TURNSCOPE_PICTURE = $(PICTURE)
test-backends: $(VENV)/.test $(VENV)/.phoenix
	@$(python) -m pytest -m backend -rs $(ARGS) tests/backends

lint: $(VENV)/.test $(VENV)/.lint
	$(python) -m ruff format --check .
	$(python) -m ruff check .
	$(python) -m mypy

# The suite reads 200 damaged files of each kind; this reads ten thousand and prints what came of them.
fuzz: export TURNSCOPE_FUZZ ?= 10000
fuzz: $(VENV)/.test
	@$(python) -m pytest -q -s $(ARGS) tests/test_fuzz.py

bench: $(VENV)/.test $(VENV)/.bench
	@$(python) -m bench $(ARGS)

lab: export TURNSCOPE_CODEX = $(VENV)/codex
lab: export TURNSCOPE_CODEX_VERSIONS = $(CODEX)
lab: export TURNSCOPE_LAB_KEEP = $(LAB_KEEP)
lab: export TURNSCOPE_OTEL_JS = $(VENV)/otel-js
lab: $(VENV)/.test $(CODEX:%=$(VENV)/.codex-%) $(VENV)/.otel-js
	@$(python) -m pytest -m lab $(ARGS) tests/lab

# OpenClaw and the Node.js that it needs: 900 MB, once.
lab-openclaw: export TURNSCOPE_OPENCLAW = $(VENV)/openclaw
lab-openclaw: $(VENV)/.test $(VENV)/.openclaw
	@$(python) -m pytest -m openclaw -rs $(ARGS) tests/openclaw_lab

accuracy: $(VENV)/.test
	@$(python) -m bench.accuracy $(ARGS)

# Writes what is generated below dashboards/; needs Python 3.11 or newer.
dashboards: $(VENV)/.dashboards
	@$(python) -m dashboards.generator

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find analyzer bench dashboards examples tests tracer -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.pip:
	@echo "setting up $(VENV), once"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "turnscope needs Python 3.10 or newer; try make PYTHON=...")'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(pip) "pip>=25.1"  # older ones do not know dependency groups
	@touch $@

$(VENV)/.codex-%: | $(VENV)/.pip
	@node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' && npm --version > /dev/null 2>&1 || \
		{ echo "make lab gets Codex from npm: install Node.js 18 or newer with npm (Debian: apt-get install npm)"; exit 1; }
	@echo "installing Codex $*, once"
	@npm install --prefix $(VENV)/codex/$* --no-save --no-audit --no-fund --loglevel=error @openai/codex@$* > /dev/null
	@touch $@

# OpenClaw asks for a newer Node.js while it is being installed already; npm has that, too.
$(VENV)/.openclaw: tests/openclaw_lab/versions.txt | $(VENV)/.pip
	@echo "installing OpenClaw, once"
	@npm install --prefix $(VENV)/openclaw --no-audit --no-fund --loglevel=error $$(grep ^node@ $<) > /dev/null
	@PATH="$(abspath $(VENV))/openclaw/node_modules/node/bin:$$PATH" \
		npm install --prefix $(VENV)/openclaw --no-audit --no-fund --loglevel=error $$(grep ^openclaw@ $<) > /dev/null
	@touch $@

$(VENV)/.phoenix: tests/backends/phoenix.txt | $(VENV)/.pip
	@echo "installing Phoenix, once"
	@$(PYTHON) -m venv --clear $(VENV)/phoenix
	@$(VENV)/phoenix/bin/python -m pip install -qq --requirement $<
	@touch $@

$(VENV)/.otel-js: tests/lab/otel-js.txt | $(VENV)/.pip
	@echo "installing OpenTelemetry for JavaScript, once"
	@npm install --prefix $(VENV)/otel-js --no-save --no-audit --no-fund --loglevel=error $$(cat $<) > /dev/null
	@touch $@

# One stamp for each group of pyproject.toml; a changed pyproject.toml makes them all out of date.
$(VENV)/.%: $(VENV)/.pip pyproject.toml
	@$(pip) --editable . --group $*
	@touch $@
