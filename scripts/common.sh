# shellcheck shell=bash
# Sourced by ./dev, .ci/run and the scripts here.

set -euo pipefail

# Messages go to stderr: stdout belongs to the command that is run (a CI reads the last line of `swift test`).
say() { printf '==> %s %s\n' "$(date +%T)" "$*" >&2; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
