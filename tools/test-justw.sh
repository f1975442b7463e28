#!/usr/bin/env bash
# Plays what `justw` meets on other people's machines, with fake tools on a PATH of its own: nothing is downloaded,
# but for one pip that is pointed at a closed port of this machine. Takes a few seconds.
set -euo pipefail
source_root=$(cd "$(dirname "$0")/.." && pwd)
real_python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null || true)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

# A project folder with nothing fetched, and a PATH with the ordinary tools, a compiler and a Python whose pip
# "installs" what justw asks for.
fresh() {
    rm -rf "$work/project" "$work/bin" "$work/pip-calls"
    mkdir -p "$work/project" "$work/bin"
    cp "$source_root/justw" "$source_root/Cargo.toml" "$work/project/"
    echo 'default:' >"$work/project/justfile"
    for tool in bash env sed sort head awk cat mkdir rm mv find paste dirname uname df flock sleep chmod; do
        ln -s "$(command -v "$tool")" "$work/bin/$tool"
    done
    fake cargo 'exit 0'
    fake rustc 'echo "rustc 1.95.0 (0123abc 2026-01-01)"'
    fake c++ 'exit 0'
    fake_python
}

# fake NAME SCRIPT
fake() {
    rm -f "$work/bin/$1"
    printf '#!/usr/bin/env bash\n%s\n' "$2" >"$work/bin/$1"
    chmod +x "$work/bin/$1"
}

fake_python() {
    fake python3 '
        case "$*" in *install*) ;; *) exit 0 ;; esac
        echo "$*" >>"$FAKE_WORK/pip-calls"
        while [ "$1" != --target ]; do shift; done
        sleep 0.2
        case "$*" in
            *just*) mkdir -p "$2/bin"; mv "$FAKE_WORK/just" "$2/bin/just" 2>/dev/null || exit 1 ;;
            *) mkdir -p "$2/torch/lib" "$2/torch/include" "$2/torch/nn" "$2/nvidia/lib" ;;
        esac'
    fake_just "$work/just"
}

fake_just() {
    printf '#!/usr/bin/env bash\n%s\n' 'case $1 in --version) echo "just 1.59.0" ;; *) echo "LIBTORCH=$LIBTORCH" "$@" ;; esac' >"$1"
    chmod +x "$1"
}

# Runs justw with extra variables; its output is in $output, its exit code in $code.
justw() {
    local variables=()
    while [ "$1" != justw ]; do
        variables+=("$1")
        shift
    done
    shift
    code=0
    output=$(cd "$work" && env -i HOME="$work" PATH="$work/bin" FAKE_WORK="$work" "${variables[@]}" \
        "$work/project/justw" "$@" 2>&1) || code=$?
}

check() {
    if [ "$2" = yes ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED: %s\n  exit code %s, output:\n%s\n' "$1" "$code" "$output"
    fi
}

matches() {
    [[ "$output" == $1 ]] && echo yes || echo no
}

# fails_with NAME PATTERN: exit code 1, and one line of error that matches.
fails_with() {
    local errors
    errors=$(printf '%s\n' "$output" | sed '/^justw: /d')
    if [ "$code" = 1 ] && [[ "$errors" == "error: "$2 ]] && [ "$(printf '%s\n' "$errors" | wc -l)" = 1 ]; then
        check "$1" yes
    else
        check "$1" no
    fi
}

fresh
rm "$work/bin/python3"
justw justw test
fails_with "a missing Python" "*Python 3.10*python3-venv*"

fresh
fake python3 'case "$*" in *version_info*) exit 1 ;; esac'
justw justw test
fails_with "a Python before 3.10" "*Python 3.10*"

fresh
fake rustc 'echo "rustc 1.70.0 (0123abc 2023-01-01)"'
justw justw test
fails_with "a too old rustc" "*1.70.0*1.89*rustup update*"

fresh
rm "$work/bin/cargo"
justw justw test
fails_with "a missing cargo" "cargo is not installed*rustup*"

fresh
rm "$work/bin/c++"
justw justw test
fails_with "a missing C++ compiler" "no C++ compiler*g++*"

fresh
fake df 'echo "Filesystem 1024-blocks Used Available Capacity Mounted"; echo "disk 9000000 8000000 1000000 89% /"'
justw justw test
fails_with "a full disk" "*976 MB free*4 GB*"

fresh
mkdir -p "$work/torch"
echo 2.5.0+cpu >"$work/torch/build-version"
justw LIBTORCH="$work/torch" justw test
fails_with "a wrong libtorch" "LIBTORCH=*/torch holds libtorch 2.5.0+cpu*2.11.0*"

rm "$work/torch/build-version"
justw LIBTORCH="$work/torch" justw test
fails_with "a LIBTORCH without libtorch" "LIBTORCH=*/torch holds no libtorch*"

echo "__version__ = '2.11.0+cu130'" >"$work/torch/version.py"
justw LIBTORCH="$work/torch" justw test --flag "two words"
check "the user's own libtorch is used" "$(matches "*LIBTORCH=$work/torch *test --flag two words")"
check "and none is fetched" "$([ -d "$work/project/.tools/libtorch" ] && echo no || echo yes)"

fresh
fake python3 'case "$*" in *install*) echo "no route to host"; exit 1 ;; esac'
justw justw test
fails_with "just cannot be fetched" "could not fetch just*install just*"
fake_just "$work/bin/just"
justw justw test
fails_with "libtorch cannot be fetched" "could not fetch libtorch*set LIBTORCH*"

if [ -n "$real_python" ] && "$real_python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    fresh
    fake python3 "exec '$real_python' \"\$@\""
    justw PIP_INDEX_URL=http://127.0.0.1:9/simple PIP_CONFIG_FILE=/dev/null PIP_NO_CACHE_DIR=1 \
        justw test
    fails_with "a real pip without a network" "could not fetch just*"
fi

fresh
justw justw test -- --scale smoke
check "a fresh machine gets both" "$(matches "*LIBTORCH=$work/project/.tools/libtorch/torch *test -- --scale smoke")"
check "without Python's part of torch" "$([ -d "$work/project/.tools/libtorch/torch/nn" ] && echo no || echo yes)"
calls=$(wc -l <"$work/pip-calls")
justw justw test
check "a second call fetches nothing" "$([ "$code" = 0 ] && [ "$(wc -l <"$work/pip-calls")" = "$calls" ] && echo yes || echo no)"

rm "$work/project/.tools/libtorch/stamp"
justw justw test
check "what is not complete is fetched again" "$([ "$(wc -l <"$work/pip-calls")" = $((calls + 1)) ] && echo yes || echo no)"

fake nvidia-smi 'exit 0'
fake df 'echo "Filesystem 1024-blocks Used Available Capacity Mounted"; echo "disk 90000000 0 90000000 0% /"'
justw DELORA_CPU_ONLY=1 justw test
check "DELORA_CPU_ONLY leaves CUDA out" "$([ "$(wc -l <"$work/pip-calls")" = $((calls + 1)) ] && echo yes || echo no)"
justw justw test
check "with a driver the CUDA libraries come" "$(grep -q -- '--target [^ ]* torch==2.11.0$' "$work/pip-calls" && echo yes || echo no)"
rm "$work/bin/nvidia-smi"
justw justw test
check "and stay when the driver is gone" "$([ "$(wc -l <"$work/pip-calls")" = $((calls + 2)) ] && echo yes || echo no)"

fresh
justw justw
check "without arguments the recipes are listed, and nothing is built" "$(matches '*LIBTORCH= *--list')"

fresh
for run in 1 2; do
    (cd "$work" && env -i HOME="$work" PATH="$work/bin" FAKE_WORK="$work" "$work/project/justw" test) >"$work/out$run" 2>&1 &
done
code=0
wait || code=$?
output=$(cat "$work/out1" "$work/out2")
check "two at once fetch once" "$([ "$(wc -l <"$work/pip-calls")" = 2 ] && [ "$(grep -c LIBTORCH= <<<"$output")" = 2 ] && echo yes || echo no)"

echo "justw: $passed passed, $failed failed"
[ "$failed" = 0 ]
