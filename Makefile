# `make tune` on a fresh checkout is all it takes: every target makes the environment that it needs first.
# Nothing has to be activated; PYTHON picks the interpreter, ARGS goes to the command behind a target.

PYTHON ?= python3
ARGS ?=
LOGDIR ?= results
STORAGE ?= results/diffusion/study.journal
VENV := .venv
RUN := $(VENV)/bin/python
# The contents name the stamp, not their dates: a clone or a change of branch installs nothing that is there already.
LOCK := $(shell cat constraints.txt pyproject.toml | cksum | tr ' ' '-')
INSTALL := $(RUN) -I -m pip install --progress-bar on --disable-pip-version-check -c constraints.txt

unexport PYTHONSAFEPATH # with it the root is not on the module path, and `platform` is the standard library's

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv tune serve test test-all test-docs lint format types contracts test-ids check map docs bench ablations hard-negatives doctor dashboard tensorboard clean

help: ## at once ## list the targets, and what each costs on two cores once `make venv` was run
	@echo 'make TARGET [ARGS="..."] [PYTHON=python3.12]'
	@awk -F ' ## ' '/^[a-z-]+:.* ## / { sub(/:.*/, "", $$1); printf "  %-15s %-21s %s\n", $$1, $$2, $$3 }' Makefile

venv: $(VENV)/installed-dev-$(LOCK) ## 5 min, 2.4 GB ## make or update .venv from constraints.txt

tune: venv ## 12 min ## search for the best generator (the main job)
	$(RUN) -m platform.tune $(ARGS)

serve: venv ## until Ctrl-C ## serve the registry's champion on 127.0.0.1:8000
	$(RUN) -m serve $(ARGS)

test: venv ## 12 min ## run the tests, at the end a few that start Ray; ARGS="-m 'not ray'" leaves these out
	$(RUN) -m tests.run $(ARGS)

test-all: venv ## 35 min ## the same, and the killing, full-disk, browser and load tests
	$(RUN) -m tests.run --all $(ARGS)

test-docs: venv ## 10 min ## run the commands that README.md and docs/ show, with small budgets
	$(RUN) -m tests.docs.run $(ARGS)

lint: venv ## seconds ## look for mistakes and for lines that are not formatted
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check

format: venv ## seconds ## format the code and repair what can be repaired by itself
	$(RUN) -m ruff check --fix
	$(RUN) -m ruff format

types: venv ## 1 min ## check the types, strictly
	$(RUN) -m mypy

contracts: venv ## seconds ## check the directions of the imports
	PYTHONPATH=. $(VENV)/bin/lint-imports

test-ids: venv ## 1 min ## collect the tests twice and compare their ids
	$(RUN) -m tests.ids

check: lint types contracts test-ids ## 2 min ## lint, types, contracts and test ids

map: venv ## seconds ## write docs/code-map.md from the docstrings of the modules
	$(RUN) -m docs.generate.code_map

docs: venv $(VENV)/installed-docs-$(LOCK) ## 1 min ## build the pages of docs/ as a site in build/docs/, offline; a broken link fails
	$(RUN) -m sphinx -b html -W --keep-going -q -d build/doctrees docs build/docs
	$(RUN) -m docs.generate.links
	@echo 'wrote build/docs/index.html'

bench: venv $(VENV)/installed-bench-$(LOCK) ## 1 h, 1 GB more ## speed: training and sampling beside two other libraries, evaluation, trials
	@mkdir -p results/bench
	$(RUN) -m benchmarks.unet_step --output results/bench/unet_step.json
	$(RUN) -m benchmarks.unet_step --size large --steps 200 --threads 2 --output results/bench/unet_step_large.json
	$(RUN) -m benchmarks.unet_sampling --output results/bench/unet_sampling.json
	$(RUN) -m benchmarks.contrastive --output results/bench/contrastive.json
	$(RUN) -m benchmarks.evaluation --output results/bench/evaluation.json
	$(RUN) -m benchmarks.trial_overhead --output results/bench/trial_overhead.json
	$(RUN) -m benchmarks.suggestion --output results/bench/suggestion.json
	$(RUN) -m benchmarks.study_scale --output results/bench/study_scale.json
	$(RUN) -m benchmarks.prepared_data --output results/bench/prepared_data.json
	$(RUN) -m benchmarks.decisions --output results/bench/decisions.json
	$(RUN) -m benchmarks.sweep_throughput --output results/bench/sweep_throughput.json
	$(RUN) -m benchmarks.search_quality --output results/bench/search_quality.json
	$(RUN) -m benchmarks.critic --output results/bench/critic.json
	$(RUN) -m benchmarks.cotraining --output results/bench/cotraining.json
	$(RUN) -m benchmarks.generator_sampling --output results/bench/generator_sampling.json
	$(RUN) -m benchmarks.detector_scoring --output results/bench/detector_scoring.json
	$(RUN) -m benchmarks.reach_environment --output results/bench/reach_environment.json
	$(RUN) -m benchmarks.serving --output results/bench/serving.json
	$(RUN) -m benchmarks.startup --output results/bench/startup.json

ablations: venv ## hours ## quality: variants of the model against each other, on two cores
	@mkdir -p results/ablations
	for suite in contrastive contrastive-cost representation training latent conditioning pixel-grid averaging levers; do \
		$(RUN) -m benchmarks.ablations $$suite || exit 1; done
	$(RUN) -m benchmarks.autoencoder --output results/ablations/autoencoder.json
	$(RUN) -m benchmarks.augmentations --output results/ablations/augmentations.json
	$(RUN) -m benchmarks.observation --output results/ablations/observation.json

hard-negatives: venv ## 15 min ## do hard negatives help detectors against unseen bots? on one core
	$(RUN) -m benchmarks.hard_negatives $(ARGS)

doctor: venv ## 1 min ## check what a sweep needs before it starts
	$(RUN) -m platform.doctor $(ARGS)

dashboard: venv $(VENV)/installed-dashboard-$(LOCK) ## until Ctrl-C ## show a study in the browser while it runs; STORAGE names a journal or a URL
	$(VENV)/bin/optuna-dashboard $(STORAGE) $(addprefix --artifact-dir ,$(wildcard $(dir $(STORAGE))artifacts)) --host 127.0.0.1 --port 8080 $(ARGS)

tensorboard: venv ## until Ctrl-C ## show the curves of the trials under LOGDIR
	$(RUN) -m tensorboard.main --logdir $(LOGDIR) $(ARGS)

clean: ## seconds ## remove what the tools leave behind; .venv and results stay
	rm -rf build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(VENV)/made:
	@command -v "$(PYTHON)" > /dev/null || { echo "no '$(PYTHON)' was found; name a Python of 3.11 or later with PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed, but $(PYTHON) is $$("$(PYTHON)" --version 2>&1); name another with PYTHON=..." >&2; exit 1; }
	"$(PYTHON)" -I -m venv --clear $(VENV)
	@touch $@

$(VENV)/installed-%-$(LOCK): | $(VENV)/made
	@rm -f $(VENV)/installed-$*-*
	$(INSTALL) ".[$*]"
	$(if $(filter bench,$*),$(INSTALL) --no-deps denoising-diffusion-pytorch)
	@touch $@
