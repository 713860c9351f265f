# make               set up .venv, run the workflow on the shipped captures: results/lab/index.html, results/report.html
# make test          set up .venv and run the tests
# make test-slow     the tests that take minutes: the paper's whole study on files shaped as the published ones
# make test-cluster  the workflow through a real SLURM, conda environments and a container that are made for it
# make test-page     the results page in Chromium, with a check of its accessibility; both are fetched where they can be
# make test-versions the tests of the library with the oldest and the newest packages of envs/ -> docs/versions.md
# make docs          the documentation as a site, for any browser: site/index.html
# make reference     docs/reference anew, from configuration, scripts, docstrings and docs/reference/results.yaml
# make pictures      the pictures of README.md, from results/lab
# make reproduce     make the results, then compare the numbers and pictures of README.md with them
# make test-faults   hostile and damaged files, jobs killed or without room, flipped bits; MUTANTS=5000000 FAULTS=5000 for a night
# make lint          style of Python and Snakemake files, types
# make quick         Fig. 3 in two minutes, from a small detector and a short search: results/quick/lab/figures/fig3.pdf
# make unlock        after a run was killed and the next one says that the directory cannot be locked
# make clean         remove results (the environment stays; `make distclean` removes it too)
# make help          this text
#
# Needs Python 3.11 or later, make and git. CORES=4 limits the cores, CONFIG=my.yaml adds a configuration, RUN=wide puts
# the results into results/wide.
# What measures speed has a Makefile of its own: `make -C benchmarks help`.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
CORES ?= all
CONFIG ?=
RUN ?= $(if $(CONFIG),$(shell sed -n 's/^run: *\([a-z][a-z0-9_-]*\) *\(\#.*\)\{0,1\}$$/\1/p' $(CONFIG) | grep -v '^null$$'))
RESULTS := results$(if $(RUN),/$(RUN))
BIN := .venv/bin
# Where it is set, Python compiles what it imports anew for every job: seconds each.
unexport PYTHONDONTWRITEBYTECODE
CLUSTER_PACKAGES := slurm-wlm munge mmdebstrap
SNAKEMAKE := $(BIN)/snakemake $(if $(CONFIG),--configfile $(CONFIG)) $(if $(RUN),--config run=$(RUN))
# A line for each job that ends, and what is wrong; Snakemake's own log, whose path it says at the end, has the rest.
BRIEFLY := --quiet rules progress reason host
CHATTER := ^(Adding |Failed to solve scheduling|Select jobs to execute|Execute [0-9]+ jobs|Using |Assuming |Building DAG|Conda environments|Config file|$$)
SHELL := bash
.SHELLFLAGS := -o pipefail -c

AXE_PACKAGE := axe-core@4.14.1
AXE := node_modules/axe-core
MUTANTS ?= 200000
FAULTS ?= 200

.PHONY: results quick unlock setup test test-slow test-faults test-cluster test-page test-versions docs reference pictures reproduce lint \
	clean distclean help

# Fig. 3 comes first, since it is what most look for.
results: setup
	@$(SNAKEMAKE) --cores $(CORES) --prioritize fig3 $(BRIEFLY) 2>&1 | grep --line-buffered -vE '$(CHATTER)' || { $(LOCKED) }
	@$(SNAKEMAKE) --report $(RESULTS)/report.html --quiet 2>&1 | { grep -vE '$(CHATTER)' || true; }
	@echo "Results: $$(ls $(RESULTS)/*/index.html | tr '\n' ' ')and $(RESULTS)/report.html; open them in a browser"

quick: setup
	@$(SNAKEMAKE) --configfile config/quick.yaml --cores $(CORES) $(BRIEFLY) -- fig3 2>&1 \
		| grep --line-buffered -vE '$(CHATTER)' || { $(LOCKED) }
	@echo "Result: results/quick/lab/figures/fig3.png; logs: results/quick/lab/logs"

# Of a run that ended, even with an error, no lock is left.
LOCKED := if ls .snakemake/locks/* >/dev/null 2>&1; then \
	echo "Another run is at work in this folder; or one was killed, and its lock is left: then \`make unlock\`, and again."; fi; exit 1;

unlock: setup
	$(SNAKEMAKE) --unlock

setup: .venv/.ready

# uv installs in seconds what takes pip minutes; it does not know pip's own folder of wheels, so it is told.
install = links="$${UV_FIND_LINKS:-$${PIP_FIND_LINKS:-$$($(BIN)/python -m pip config get global.find-links 2>/dev/null)}}"; \
	if [ -n "$$links" ]; then export UV_FIND_LINKS="$$(echo $$links | tr ' ' ',')"; fi; \
	$(BIN)/uv pip install --system-certs --quiet --python $(BIN)/python $(1) || $(BIN)/python -m pip install --quiet $(1)

.venv/.ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed: make PYTHON=..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet uv==0.13.9 || echo "uv cannot be installed; pip will do"
	@$(call install,-r requirements.lock)
	@touch $@

# Two workers with one thread each: files of tests are the unit, since tests of a file share what they prepare.
test: setup
	@$(MAKE) --no-print-directory .docs-tools/.ready || echo "MkDocs cannot be installed here: the site is not built"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not cluster"

test-slow: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --timeout 0 -m slow

# A real SLURM of one node with pretended GPUs, on loopback, and a container; what is missing is installed where apt and the
# rights for it are there, and what cannot be installed is skipped with a word.
test-cluster: setup .test-tools/.ready
	@{ command -v slurmctld && command -v munged && command -v mmdebstrap; } >/dev/null \
		|| { [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -y -q --no-install-recommends $(CLUSTER_PACKAGES); } \
		|| echo "$(CLUSTER_PACKAGES) cannot be installed here: tests that need them are skipped"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m cluster -rs tests/integration

.test-tools/.ready: tests/integration/requirements.txt
	$(BIN)/python -m pip install --quiet --upgrade --target .test-tools -r tests/integration/requirements.txt
	@touch $@

docs: setup .docs-tools/.ready
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=.docs-tools $(BIN)/python -m mkdocs build --strict

reference: setup
	$(BIN)/python docs/reference.py

.docs-tools/.ready: docs/requirements.txt
	@$(call install,--upgrade --target .docs-tools -r docs/requirements.txt)
	@touch $@

# `make test` runs these too, and skips what needs Chromium or axe-core where they are not there.
test-page: setup
	@command -v chromium >/dev/null \
		|| { [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -y -q --no-install-recommends chromium; } \
		|| echo "chromium cannot be installed here: tests that need it are skipped"
	@test -f .test-tools/$(AXE)/axe.min.js || npm install --silent --no-save --prefix .test-tools $(AXE_PACKAGE) \
		|| echo "axe-core cannot be fetched here: accessibility is not checked"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 0 -rs tests/test_page.py

# Each line ends with an error where a reader crashed, a file was lost, or damage went unseen; so the last one is said if true.
test-faults: setup
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/run.py --mutants $(MUTANTS)
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/kills.py --faults $(FAULTS)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -q tests/test_storage.py tests/test_flow_table.py \
		tests/test_pcap.py tests/test_compression.py tests/test_lstm.py tests/test_training.py
	@echo "0 crashes, 0 losses, 0 silent"

test-versions: setup
	$(BIN)/python envs/try_versions.py --page docs/versions.md

pictures: setup
	$(BIN)/python docs/pictures.py --results results/lab

reproduce: results
	$(BIN)/python docs/reproduce.py --results results/lab

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

clean:
	rm -rf results .snakemake

distclean: clean
	rm -rf .venv .bench-peers .docs-tools site .test-tools .test-versions

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile
