# Every target but `help` and `clean-runs` first sets up .venv, if what it is made from has changed. The work itself
# is done by `.venv/bin/repro`; here are only the names.

SCALE ?= laptop
LAUNCHER ?= local
VARIANT ?= cpu
SECONDS ?= 600
DEFAULT := results
DEMO := build/demo

# What reproduce-* calls.
COMMAND_local := reproduce
COMMAND_slurm := submit

VENV := .venv
READY := $(VENV)/.ready
REPRO := $(VENV)/bin/repro
PYTHON := $(VENV)/bin/python

# $(call quoted,NAME): the value of a variable as one word for the shell, its $ and quotes no more than characters.
# $(call option,--name,NAME): the option with that word, or nothing where the value is empty.
quoted = '$(subst ','\'',$(value $(1)))'
option = $(if $(value $(2)),$(1) $(call quoted,$(2)))

# What users set. To export a variable that is given to it make would expand it, $ and all; and a line break would end the
# command that it is in. FOLDERS are for the environment, as they are.
GIVEN := SCALE SEEDS NP JOBS CONTAINER LAUNCHER SITE VARIANT RESULTS SECONDS
FOLDERS := CIFAR10_DIR CIFAR100_DIR IMAGENET_DIR LIBSVM_DIR BUILD_FILES
unexport $(GIVEN)
$(foreach name,$(FOLDERS),$(if $(value $(name)),$(eval override export $(name) := $$(value $(name)))))
define break


endef
$(foreach name,$(GIVEN) CIFAR10_DIR,$(if $(findstring $(break),$(value $(name))),$(error $(name) has a line break)))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup doctor demo test faults fuzz load container test-containers bench lint status verdict tables figures report evidence \
	clean-runs

help: ## print this list
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo '  variables of reproduce-*: SCALE=smoke|laptop|paper  SEEDS=5  NP=8  CIFAR10_DIR=folder  JOBS=2'
	@echo '  variable of reproduce-*, doctor: CONTAINER=image'
	@echo '  on a cluster: LAUNCHER=slurm  SITE=name or file.toml  (docs/hpc.md)'
	@echo '  variable of fuzz: SECONDS=600  for each of twelve formats'
	@echo '  variables of container: VARIANT=cpu|gpu|mpich|docker  BUILD_FILES=folder  (docs/containers.md)'
	@echo '  variable of all: RESULTS=folder  where records, tables, figures and the report go (default: results)'

setup: $(READY) ## install torch, MPI, Horovod and ReproSGD into .venv
	@echo 'set up; `make doctor` checks it'

$(READY): constraints.txt pyproject.toml $(wildcard repro/launch/setup/*)
	@bash repro/launch/setup/install.sh $(VENV)
	@touch $@

doctor: $(READY) ## check MPI, Horovod, data and GPU; each line says ok, or the problem and its fix
	@$(REPRO) doctor $(call option,--launcher,LAUNCHER) $(call option,--site,SITE) $(call option,--container,CONTAINER)

demo: $(READY) ## the whole pipeline on handwritten digits: 3 methods, 4 ranks, 3 seeds, report in build/demo (3 minutes)
	@$(REPRO) reproduce demo --results $(call quoted,$(if $(value RESULTS),RESULTS,DEMO))

test: $(READY) ## run the tests, in two processes: one for those that start ranks
	@$(PYTHON) -m pytest -n 2 --dist loadgroup

faults: $(READY) ## let every fault happen to every method (an hour), and write results/faults.csv
	@$(PYTHON) -m tests.faults.campaign

load: $(READY) ## 64 ranks, 20,000 records, two commands at once; memory of all methods: results/memory.csv (an hour)
	@REPRO_TEST_LOAD=1 $(PYTHON) -m pytest -rs -s tests/load/test_load.py
	@$(PYTHON) -m tests.load.memory

fuzz: $(READY) ## fuzz the readers of what was made elsewhere (2 hours); what breaks is kept for the tests
	@$(PYTHON) -m tests.fuzz.fuzz $(call option,--seconds,SECONDS)

container: ## build the image of this commit with Apptainer or Docker into build/containers (10 minutes on 2 busy cores)
	@bash containers/build.sh $(call quoted,VARIANT)

test-containers: $(READY) ## build the image from a bare Debian and run ranks in it (10 minutes, 5 GB)
	@REPRO_TEST_CONTAINERS=1 $(PYTHON) -m pytest -rs tests/containers

bench: $(READY) ## run the benchmarks (pytest-benchmark)
	@$(PYTHON) -m pytest -o timeout=900 tests/benchmarks --benchmark-only

lint: $(READY) ## check style and types
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy

reproduce-%: $(READY) ## reproduce a group or a paper: cifar (30 minutes on 2 cores), swarmsgd, sgp, matcha, ...
	@$(REPRO) $(or $(COMMAND_$(value LAUNCHER)),$(error LAUNCHER is local or slurm, not $(value LAUNCHER))) '$(subst ','\'',$*)' \
		$(call option,--scale,SCALE) $(call option,--seeds,SEEDS) $(call option,--workers,NP) \
		$(call option,--cifar10-dir,CIFAR10_DIR) $(if $(filter local,$(value LAUNCHER)),$(call option,--jobs,JOBS)) \
		$(call option,--results,RESULTS) \
		$(call option,--site,SITE) $(call option,--container,CONTAINER)

status: $(READY) ## say which runs are done and which are not
	@$(REPRO) status $(call option,--results,RESULTS)

verdict: $(READY) ## compare the records with the published numbers and claims
	@$(REPRO) verdict $(call option,--results,RESULTS)

tables: $(READY) ## write the tables of verdicts and results as CSV, Markdown and LaTeX
	@$(REPRO) tables $(call option,--results,RESULTS)

figures: $(READY) ## draw the figures that are new or have changed as PNG, SVG and PDF, with their data
	@$(REPRO) figures $(call option,--results,RESULTS)

report: $(READY) ## write verdicts, tables and results/report/index.html; draw what changed, as SVG alone
	@$(REPRO) report $(call option,--results,RESULTS)

evidence: $(READY) ## bundle records, figures, verdicts and environment for artifact evaluation: evidence.zip
	@$(REPRO) evidence $(call option,--results,RESULTS)

clean-runs: ## remove what interrupted runs left behind, their saved states and plans too; let running ones end first
	@unset CDPATH; [ ! -d $(call quoted,$(if $(value RESULTS),RESULTS,DEFAULT)) ] || \
		{ cd -- $(call quoted,$(if $(value RESULTS),RESULTS,DEFAULT)) && rm -rf .scratch runs/.unfinished-* studies/.unfinished-*; }
