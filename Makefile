PYTHON ?= python3

.PHONY: test lint bench stress soak
test:
	$(PYTHON) -m pytest

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy --strict piwik_import

bench:
	$(PYTHON) bench/run.py

stress:
	PYTHONPATH=. $(PYTHON) tests/stress.py

soak:
	PYTHONPATH=. $(PYTHON) tests/soak.py $(SECONDS)
