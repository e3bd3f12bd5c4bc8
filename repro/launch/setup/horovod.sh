#!/usr/bin/env bash
# Usage: horovod.sh ENVIRONMENT
# Builds Horovod's wheel for the torch and the MPI in ENVIRONMENT, or finds it in the user's cache, and installs it.
# Its released sources do not compile with today's torch; cmake-for-horovod beside this file is the whole patch.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
environment=$(cd "$1" && pwd)
pin=$(grep '^horovod==' "$root/constraints.txt")
export PATH="$environment/bin:$PATH"  # for cmake and, where it is the wheel's, mpicxx

{ read -r key; read -r HOROVOD_RUN_PATH; } < <(
    python "$here/horovod_target.py" "$here/horovod.sh" "$here/cmake-for-horovod"
)
cache=${REPRO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/reprosgd}/wheels/${pin/==/}-$key
mkdir -p "${cache%/*}"
exec 9>"$cache.lock"
flock 9  # a second set-up waits here for the first one's wheel

if [ ! -d "$cache" ]; then
    echo "building $pin for $key"
    export HOROVOD_RUN_PATH HOROVOD_CMAKE="$here/cmake-for-horovod"
    export HOROVOD_WITH_PYTORCH=1 HOROVOD_WITHOUT_TENSORFLOW=1 HOROVOD_WITHOUT_MXNET=1
    export HOROVOD_WITH_MPI=1 HOROVOD_WITH_GLOO=1
    export HOROVOD_BUILD_ARCH_FLAGS=-mtune=generic  # one home folder can serve machines with different processors
    MAKEFLAGS=-j$(nproc)  # not those of the make that called us
    export MAKEFLAGS
    building=$(mktemp -d "$cache.XXXXXX")
    trap 'rm -rf "$building"' EXIT
    pip install --constraint "$root/constraints.txt" cmake cffi cloudpickle psutil pyyaml packaging
    # pip's own cache does not know which MPI and torch a wheel was built for.
    pip wheel --verbose --no-cache-dir --no-build-isolation --no-deps --no-binary horovod \
        --wheel-dir "$building/wheel" "$pin"
    mv -T "$building/wheel" "$cache"
fi
pip install --force-reinstall --no-deps --no-index --find-links "$cache" "$pin"
