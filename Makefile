# What can be done here? `make help` says it. Works with GNU Make 3.81 and later.
# Everything that is installed or made goes into .venv and .work.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --no-cache-dir --require-hashes
RUNTIME := requirements.txt requirements-demo.txt
# Arguments for the demo (make run ARGS="--port 9000"), for pytest (make test ARGS="-k login"), or for
# the benchmark (make bench ARGS="--quick").
ARGS ?=
# The commit whose installation `make upgrade` takes to this version: 0.1.0.
FROM ?= c119415

export PYTHONPATH := $(CURDIR)
export HYPOTHESIS_STORAGE_DIRECTORY := $(CURDIR)/.work/hypothesis

.DEFAULT_GOAL := help
.PHONY: help run prove install test stress browsers image charts interop interop-react interop-keycloak interop-more monitoring client-types upgrade bench check lint format types architecture dist sbom lock clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/run.stamp ## start the demo: provider, API, Redis and BFF on this machine
	@exec $(BIN)/python -m demo $(ARGS)

prove: $(VENV)/run.stamp ## prove that a logout holds, against 3 replicas on this machine
	@$(BIN)/python -m demo.prove $(ARGS)

install: $(VENV)/run.stamp ## make .venv with what the demo needs, and nothing more

# Four at a time on two cores: for half of their time the tests wait for something to pass.
test: $(VENV)/dev.stamp ## run all tests but those of browsers, interop and upgrade, with reduced rounds
	@.ci/browser
	@.ci/servers
	$(BIN)/python -m pytest --ignore=tests/browsers --ignore=tests/charts --ignore=tests/image --ignore=tests/interop --ignore=tests/interop_keycloak --ignore=tests/interop_more --ignore=tests/monitoring -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

stress: $(VENV)/dev.stamp ## the same tests with the full number of rounds
	@.ci/browser
	@.ci/servers
	BFF_TEST_SCALE=full $(BIN)/python -m pytest --ignore=tests/browsers --ignore=tests/charts --ignore=tests/image --ignore=tests/interop --ignore=tests/interop_keycloak --ignore=tests/interop_more --ignore=tests/monitoring $(ARGS)

browsers: $(VENV)/dev.stamp ## the main walk and the attacks in Chromium, Firefox and WebKitGTK (on Debian, with cargo)
	@.ci/browsers
	BFF_TEST_SCALE=full $(BIN)/python -m pytest tests/browsers -n 2 --dist loadfile $(ARGS)

image: $(VENV)/dev.stamp ## build the container image without an engine, and test it (Debian, as root)
	@.ci/image
	$(BIN)/python -m pytest tests/image $(ARGS)

charts: $(VENV)/dev.stamp ## test the Helm chart, the kustomize base and the compose files (needs Go)
	@.ci/charts
	@.ci/servers
	$(BIN)/python -m pytest tests/charts $(ARGS)

interop: $(VENV)/dev.stamp ## test against oidc-provider from npm (needs Node 20.19 or later)
	@.ci/node
	npm ci --prefix tests/interop --cache $(CURDIR)/.work/npm --ignore-scripts --no-audit --no-fund
	$(BIN)/python -m pytest tests/interop --ignore=tests/interop/react $(ARGS)

interop-react: $(VENV)/dev.stamp ## build React apps with Vite and drive them in Chromium (needs Node 20.19 or later)
	@.ci/node
	@.ci/browser
	npm ci --prefix tests/interop --cache $(CURDIR)/.work/npm --ignore-scripts --no-audit --no-fund
	npm ci --prefix tests/interop/react --cache $(CURDIR)/.work/npm --ignore-scripts --no-audit --no-fund
	npm ci --prefix examples/react --cache $(CURDIR)/.work/npm --ignore-scripts --no-audit --no-fund
	BFF_TEST_SCALE=full $(BIN)/python -m pytest tests/interop/react $(ARGS)

client-types: ## make the types of /auth/client.js anew (needs Node 20.19 or later)
	@.ci/node
	npm ci --prefix tests/interop/react --cache $(CURDIR)/.work/npm --ignore-scripts --no-audit --no-fund
	npm run --prefix tests/interop/react client-types -- ../../../bff/web/static

interop-keycloak: $(VENV)/dev.stamp ## test against Keycloak from Maven Central (needs Java 17 or later, Maven)
	@.ci/keycloak
	$(BIN)/python -m pytest tests/interop_keycloak $(ARGS)

interop-more: $(VENV)/dev.stamp ## test against further providers, by hand (needs Node 20.19, Go, cc, Java, Maven)
	@.ci/interop-more
	$(BIN)/python -m pytest tests/interop_more $(ARGS)

monitoring: $(VENV)/dev.stamp ## test metrics, alerts and dashboard with a real Prometheus (Debian, as root)
	@.ci/monitoring
	$(BIN)/python -m pytest tests/monitoring $(ARGS)

upgrade: $(VENV)/dev.stamp ## upgrade an installation of version 0.1.0, go back, run both (or FROM=a commit)
	UPGRADE_FROM=$(FROM) $(BIN)/python -m pytest tests/upgrade/in_place -n 2 --dist loadfile $(ARGS)

bench: $(VENV)/dev.stamp ## measure it against its peers (on Debian, with Node 20 or later)
	@.ci/node
	@.ci/bench-peers
	$(BIN)/python -m benchmarks $(ARGS)

check: lint format types architecture ## lint, format, types, architecture

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .

format: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy

architecture: $(VENV)/dev.stamp
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python -m pytest tests/test_architecture.py tests/test_requirements.py

dist: $(VENV)/dev.stamp ## build the wheels into .work/dist: the BFF's, and that of what APIs need
	@rm -rf .work/dist
	$(BIN)/uv build --quiet --wheel --out-dir .work/dist
	$(BIN)/uv build --quiet --wheel --out-dir .work/dist distributions/resource_server

sbom: $(VENV)/dev.stamp ## write .work/sbom.cdx.json, the software bill of materials (CycloneDX)
	@mkdir -p .work
	$(BIN)/python -m tests.support.sbom .work/sbom.cdx.json

lock: $(VENV)/dev.stamp ## make the requirements*.txt anew from the requirements*.in
	for name in requirements requirements-otel requirements-demo requirements-dev benchmarks/peers/requirements; do \
	  $(BIN)/uv pip compile --quiet --no-cache --universal --generate-hashes --python-version 3.11 \
	    --no-emit-index-url --custom-compile-command "make lock" $(LOCK) $$name.in -o $$name.txt || exit 1; \
	done

clean: ## remove .venv and .work
	rm -rf $(VENV) .work

$(VENV)/bin/python:
	@.ci/make-venv $(VENV)

$(VENV)/run.stamp: $(RUNTIME) | $(VENV)/bin/python
	@echo "Installing into $(VENV) (only when requirements have changed) …"
	@$(PIP) $(RUNTIME:%=-r %)
	@touch $@

$(VENV)/dev.stamp: requirements-otel.txt requirements-dev.txt $(VENV)/run.stamp
	@echo "Installing the tools of the tests …"
	@$(PIP) -r requirements-otel.txt -r requirements-dev.txt
	@touch $@
