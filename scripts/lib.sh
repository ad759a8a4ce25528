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

# build DIR TYPE [cmake arguments...]: configures DIR and builds everything in it; output only when it fails.
build() {
  local dir=$1 type=$2
  shift 2
  mkdir -p "$dir"
  if ! { cmake -S "$root" -B "$dir" -G Ninja -DCMAKE_BUILD_TYPE="$type" "$@" && ninja -C "$dir" -j "$jobs"; } \
    >"$dir/build.log" 2>&1; then
    tail -n 60 "$dir/build.log" >&2
    die "the build in $dir failed (whole log: $dir/build.log)"
  fi
}
