PYTHON ?= python3

.PHONY: test lint docs bench stress soak fuzz
test:
	$(PYTHON) -m pytest

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy --strict piwik_import

docs:
	$(PYTHON) -m piwik_import params --markdown >docs/parameters.md
	$(PYTHON) -m piwik_import formats --markdown >docs/formats.md

bench:
	$(PYTHON) bench/run.py

stress:
	PYTHONPATH=. $(PYTHON) tests/stress.py

soak:
	PYTHONPATH=. $(PYTHON) tests/soak.py $(SECONDS)

fuzz:
	PYTHONPATH=. $(PYTHON) tests/fuzz.py $(if $(LINES),--lines $(LINES))
