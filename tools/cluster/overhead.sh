#!/usr/bin/env bash
# What the ledger and leases cost beside trials of 50 ms: 64 workers on one machine, 10,000 trials in banks of four.
#
# Trials only pause, so all processor time is overhead. It is measured over all workers, less that of as many that find
# everything finished, which only start; and given as a share of the time of all trials, 10,000 x 50 ms.
set -euo pipefail
cd "$(dirname "$0")/../.."

workers=${1:-64}
trials=${2:-10000}
cargo build --release --quiet -p runner --example toy
toy=$(realpath "${CARGO_TARGET_DIR:-target}/release/examples/toy")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
seeds=$(seq -s, 0 $((trials / 4 - 1)))
cat > "$folder/toy.toml" <<TOML
name = "toy"
question = "What do leases cost?"
task = "toy"
metric = "score"
direction = "maximize"
seeds = [$seeds]
replicates = ["seed", "subject"]
[fixed]
steps = 1
[scientific]
method = ["plain"]
subject = { first = 4 }
[method.plain]
rate = 0.1
TOML
cd "$folder"
TIMEFORMAT='%R %U %S'
# Seconds, and processor seconds of user and system. A bank of four pauses 40 ms for its step and 40 ms for each trial.
run() {
    for number in $(seq "$workers"); do
        "$toy" toy.toml results worker=1 workers=1 pause_ms=40 checkpoint_ms=100000 > "out.$number" 2> "err.$number" &
    done
    wait
}
all() { { time run; } 2>&1; }
read -r wall user system < <(all)
done=$(awk '/ done,/ { done += $1 } END { print done }' out.*)
records=$(find results/toy/mini/trials -name '*.json' | wc -l)
read -r start_wall start_user start_system < <(all)
awk -v workers="$workers" -v trials="$trials" -v done="$done" -v records="$records" -v wall="$wall" -v start="$start_wall" \
    -v cpu="$user $system $start_user $start_system" 'BEGIN {
        split(cpu, part, " ")
        cost = part[1] + part[2] - part[3] - part[4]
        printf "%d workers, %d trials, %d records: %.1f s of processors, %.1f %% of the time of the trials; %.1f s in all, %.1f s to start\n",
            workers, done, records, cost, 100 * cost / (trials * 0.05), wall, start
        exit !(done == trials && records == trials)
    }'
