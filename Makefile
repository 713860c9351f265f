# make          set up .venv, run the workflow on the shipped captures, write results/report.html
# make test     set up .venv and run the tests
# make test-slow     the tests that take minutes: the paper's whole study on files shaped as the published ones
# make test-cluster  the workflow through a real SLURM, conda environments and a container that are made for it
# make lint     style of Python and Snakemake files
# make bench-growth   time and memory of extraction, merging and reading at 10 to 40 million packets -> docs/scale.md;
#                     time of attacks over flows, packets, kappas, iterations, units -> docs/performance/growth.md
# make bench-extract  captures to HDF5 against dpkt, nfstream, scapy and programs that are at hand -> docs/performance/extract.md
# make bench-train    training against plain loops over nn.LSTM -> docs/performance/train.md
# make bench-attack   attacks against nn.LSTM and libraries, searches for the ARS -> docs/performance/attack_*.md, ars.md
# make plan         jobs, GPU-hours and hours of the paper's study on 1, 8 and 64 GPUs -> docs/performance/plan.md
# make bench-explain  explanations against the plain way, flow by flow and step by step -> docs/performance/explain.md
# make clean    remove results (the environment stays; `make distclean` removes it too)
#
# Needs Python 3.11 or later, make and git. CORES=4 limits the cores, CONFIG=my.yaml adds a configuration.
# DEVICE=cuda lets the benchmarks of training and attacks compute on a GPU. RATES: packets a second of a GPU, for `make plan`.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
CORES ?= all
CONFIG ?=
DEVICE ?= cpu
RATES ?= 4970 300000 1000000
BIN := .venv/bin
# Where it is set, Python compiles what it imports anew for every job: seconds each.
unexport PYTHONDONTWRITEBYTECODE
CLUSTER_PACKAGES := slurm-wlm munge mmdebstrap
SNAKEMAKE := $(BIN)/snakemake $(if $(CONFIG),--configfile $(CONFIG))

.PHONY: plan results setup test test-slow test-cluster lint bench-extract bench-growth bench-explain bench-train bench-attack clean distclean

results: setup
	$(SNAKEMAKE) --cores $(CORES)
	$(SNAKEMAKE) --report results/report.html

setup: .venv/.ready

# uv installs in seconds what takes pip minutes; it does not know pip's own folder of wheels, so it is told.
.venv/.ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed: make PYTHON=..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet uv==0.13.9 || echo "uv is not to be had; pip will do"
	@links="$${UV_FIND_LINKS:-$${PIP_FIND_LINKS:-$$($(BIN)/python -m pip config get global.find-links 2>/dev/null)}}"; \
	if [ -n "$$links" ]; then export UV_FIND_LINKS="$$(echo $$links | tr ' ' ',')"; fi; \
	$(BIN)/uv pip install --system-certs --quiet --python $(BIN)/python -r requirements.lock \
		|| $(BIN)/python -m pip install --quiet -r requirements.lock
	@touch $@

# Two workers with one thread each: files of tests are the unit, since tests of a file share what they prepare.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not cluster"

test-slow: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

# A real SLURM of one node with pretended GPUs, on loopback, and a container; what is missing is installed where apt and the
# rights for it are there, and what cannot be had is skipped with a word.
test-cluster: setup .test-tools/.ready
	@{ command -v slurmctld && command -v munged && command -v mmdebstrap; } >/dev/null \
		|| { [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -y -q --no-install-recommends $(CLUSTER_PACKAGES); } \
		|| echo "$(CLUSTER_PACKAGES) cannot be installed here: tests that need them are skipped"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m cluster -rs tests/integration

.test-tools/.ready: tests/integration/requirements.txt
	$(BIN)/python -m pip install --quiet --upgrade --target .test-tools -r tests/integration/requirements.txt
	@touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

bench-growth: setup
	$(BIN)/python benchmarks/growth.py --sizes 10 20 40 --csv docs/scale.csv --page docs/scale.md
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/attack_growth.py --repeats 3 --threads 1 \
		--csv docs/performance/growth.csv --page docs/performance/growth.md

bench-extract: setup .bench-peers/.ready
	PYTHONPATH=.bench-peers OMP_NUM_THREADS=1 $(BIN)/python benchmarks/extraction.py --packets 3000000 --loaded 56000000 \
		--repeats 3 --folder docs/performance
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/extraction_stages.py --packets 3000000 --repeats 5 \
		--csv docs/performance/extract_stages.csv --page docs/performance/extract_stages.md

bench-explain: setup
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/explain.py --hidden-size 512 --num-layers 3 --repeats 3 --threads 1 \
		--csv docs/performance/explain.csv --page docs/performance/explain.md

plan: setup
	$(BIN)/python benchmarks/plan.py --rate $(RATES) --page docs/performance/plan.md

bench-train: setup
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/training.py --hidden-size 512 --num-layers 3 --flows 512 --longest 100 \
		--repeats 3 --threads 1 --device $(DEVICE) --csv docs/performance/train.csv --page docs/performance/train.md
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/products.py --hidden-size 512 --rows 2048 64 16 8 --operations 2e10 \
		--repeats 3 --csv docs/performance/products.csv --page docs/performance/products.md

bench-attack: setup .bench-peers/.ready
	$(SNAKEMAKE) --cores $(CORES) results/lab/baseline/weights.safetensors
	PYTHONPATH=.bench-peers OMP_NUM_THREADS=1 $(BIN)/python benchmarks/attacking.py --dataset results/lab/dataset.h5 \
		--weights results/lab/baseline/weights.safetensors --hidden-size 512 --num-layers 3 --flows 512 --ars-flows 20 \
		--repeats 5 --threads 1 --device $(DEVICE) --folder docs/performance

# What the benchmarks compare with: aside, and without their dependencies, most of which are here in other versions.
.bench-peers/.ready: benchmarks/requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target .bench-peers -r benchmarks/requirements.txt
	@touch $@

clean:
	rm -rf results .snakemake

distclean: clean
	rm -rf .venv .bench-peers .test-tools
