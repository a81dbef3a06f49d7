# Shared by the scripts of this folder: source it, do not run it.
# shellcheck shell=bash disable=SC2034
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
  bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
else
  bold='' dim='' plain=''
fi

# A step, for a person who watches.
step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

# What a step has to say.
note() { printf '  %s\n' "$*"; }

# Ends the script with a sentence that says what to do.
die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# The comment at the top of the running script is its help.
usage() { awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0"; }

# Writes what it reads to a file; with progress=yes, says every 20 s how far a build is, which ninja tells: "[120/340] ...".
write_log() {
  local line last=$SECONDS
  while IFS= read -r line; do
    printf '%s\n' "$line"
    if [[ ${progress:-no} == yes && $line =~ ^\[([0-9]+)/([0-9]+)\] ]] && ((SECONDS - last >= 20)); then
      last=$SECONDS
      note "${BASH_REMATCH[1]} of ${BASH_REMATCH[2]} steps" >&3
    fi
  done 3>&1 >"$1"
}

# Configures and builds a preset: build_preset PRESET [TARGET...]. Quiet: the output is shown when something fails; with
# progress=yes it tells how far it is.
build_preset() {
  local preset=$1 log
  shift
  mkdir -p "$root/build"
  log="$root/build/$preset.log"
  if ! (cd "$root" && cmake --preset "$preset" && nice cmake --build --preset "$preset" ${1:+--target "$@"}) 2>&1 |
    write_log "$log"; then
    grep -E -A12 'error|FAILED|CMake Error' "$log" | head -n 80 >&2 || tail -n 40 "$log" >&2
    die "the $preset build failed; all of its output is in $log"
  fi
}
