#!/usr/bin/env bash
# Runs experiment files at scale `smoke` in a temporary folder, then again, when no trial may be left to train.
# With arguments, they are the files to run; otherwise those of the tables and sweeps.
set -euo pipefail
cd "$(dirname "$0")/.."

files=("$@")
if [ ${#files[@]} -eq 0 ]; then
    files=(experiments/{table1,ablation-table2,table3,table3-tuned,lr-sweep,prolonged,lambda-vs-angles,glue,glue-lr-sweep,glue-tuned,instruct,instruct-lr-sweep,image-classification}.toml)
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"

delora() {
    cargo run --quiet -p cli --bin delora -- "$@"
}

[ -f data/mini-pairs/validation.jsonl ] || delora world --pairs
for file in "${files[@]}"; do
    delora run "$file" --scale smoke --results "$work/results" --plots "$work/plots"
    before=$(find "$work/results" -path '*/trials/*.json' -exec cksum {} + | sort)
    [ -n "$before" ] || { echo "error: $file left no trial" >&2; exit 1; }
    delora run "$file" --scale smoke --results "$work/results" --plots "$work/plots"
    after=$(find "$work/results" -path '*/trials/*.json' -exec cksum {} + | sort)
    [ "$before" = "$after" ] || { echo "error: the second run of $file changed finished trials" >&2; exit 1; }
    [ -n "$(find "$work/plots" -name '*.png')" ] || { echo "error: $file drew no figure" >&2; exit 1; }
done
