# Everything a newcomer needs: `make demo` and `make test`, from plain python3 and pip.
# Machines without an NVIDIA card get the CPU build of torch where the index has one.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/pocket

.PHONY: demo test check format docs clean

demo: $(VENV)/installed ## Run the embedded study, one seed, and say where its report lies
	$(BIN)/veneer run pocket --out $(DEMO)

test: $(VENV)/installed ## The whole test suite, three processes: tests wait as well as compute
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: $(VENV)/installed ## Formatting, lint, types
	$(BIN)/ruff format --check src tests bench
	$(BIN)/ruff check src tests bench
	$(BIN)/mypy

format: $(VENV)/installed
	$(BIN)/ruff format src tests bench
	$(BIN)/ruff check --fix src tests bench

docs: $(VENV)/installed ## Write the generated parts of README and docs anew
	$(BIN)/python docs/generate.py

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
