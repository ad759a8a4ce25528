# Sourced by the scripts: where the tree is, which Python, how to build, how to speak.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

export PYTHONDONTWRITEBYTECODE=1 # nothing is written into the source tree

# Debian's own interpreter: another python3 that comes first on PATH does not have the packages of scripts/setup.
python=/usr/bin/python3

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# A check that could not run; its demand stays open.
not_measured_lines=()
not_measured() { not_measured_lines+=("$*"); printf 'NOT MEASURED: %s\n' "$*"; }

jobs=$(nproc)

# build DIR TYPE [cmake arguments...]: configures DIR and builds everything in it, or only the target $target; output only when
# it fails.
build() {
  local dir=$1 type=$2
  shift 2
  mkdir -p "$dir"
  if ! { cmake -S "$root" -B "$dir" -G Ninja -DCMAKE_BUILD_TYPE="$type" "$@" && ninja -C "$dir" -j "$jobs" ${target:+"$target"}; } \
    >"$dir/build.log" 2>&1; then
    tail -n 60 "$dir/build.log" >&2
    die "the build in $dir failed (whole log: $dir/build.log)"
  fi
}

# run_ctest DIR [ctest arguments...]. Tests that skip themselves pass for ctest; their names are printed.
run_ctest() {
  local code=0 dir=$1
  shift
  ctest --test-dir "$dir" -j "$jobs" --output-on-failure --no-tests=error "$@" || code=$?
  local ran=$dir/Testing/Temporary/LastTest.log
  grep -hE '^\[  SKIPPED \] |^(NOT MEASURED|SKIPPED): ' "$ran" |
    grep -v ' test(s)' | sed -E 's/^(\[  SKIPPED \]|NOT MEASURED:|SKIPPED:) (.*)/NOT MEASURED: \2/' | sort -u
  # cmocka's own counts; a program without them (a replay of the fuzz corpus) counts as one.
  awk '/^[0-9]+\/[0-9]+ Testing:/ { counted = 0 }
       /^\[  PASSED  \] [0-9]+ test/ { passed += $4; counted = 1 }
       /^\[  FAILED  \] [0-9]+ test/ { failed += $4; counted = 1 }
       /^\[  SKIPPED \] [0-9]+ test/ { skipped += $4 }
       /^Test Passed\.$/ { if (!counted) passed++; counted = 1 }
       /^Test Failed\.$/ { if (!counted) failed++; counted = 1 }
       END { printf "unit and conformance: %d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$ran"
  return $code
}
