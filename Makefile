# make app   the page, on http://127.0.0.1:7860     make check        ruff, formatting, pyright
# make test  the tests                              make bench        speed, beside the peers
# make docs  the documentation, in build/docs/site  make screenshots  the pictures in docs/
# make fuzz  13,000 damaged and hostile inputs       make faults       kills, full disks, failing Hubs
# make release-check  what stands between this commit and a release; leaves the wheel in dist/
# Everything runs in .venv, which is made on first use. PYTHON names the interpreter to make it with.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: app test fuzz faults check bench docs screenshots release-check

app: $(VENV)/app-installed
	$(RUN) app.py

test: $(VENV)/dev-installed
	$(RUN) -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

fuzz: $(VENV)/dev-installed
	CVHUB_FUZZ=whole $(RUN) -m pytest tests/fuzz --timeout 3600

faults: $(VENV)/dev-installed
	$(RUN) -m pytest tests -m fault

check: $(VENV)/dev-installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m pyright --pythonpath $(RUN)

bench: $(VENV)/dev-installed
	$(RUN) -m benchmarks

docs: $(VENV)/dev-installed
	$(RUN) -m docs.site

screenshots: $(VENV)/dev-installed
	$(RUN) docs/screenshots.py

release-check: $(VENV)/dev-installed
	$(RUN) release.py

# The stamps make a second run start at once; they age when the dependencies change.
$(VENV)/app-installed: requirements.txt pyproject.toml | $(VENV)/created
	$(RUN) -m pip install --editable .
	touch $@

$(VENV)/dev-installed: requirements.txt pyproject.toml | $(VENV)/created
	$(RUN) -m pip install --editable '.[dev]'
	touch $@ $(VENV)/app-installed

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cvhub needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0] + ": name another with `make PYTHON=python3.12 ...`")'
	$(PYTHON) -m venv --clear $(VENV)
	touch $@
