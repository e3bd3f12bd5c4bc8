#!/usr/bin/env bash
# Usage: install.sh openmpi|mpich [TORCH_INDEX]
# In the image: sets up /opt/reprosgd/.venv as `make setup` does, with Horovod built here, for the given MPI.
# TORCH_INDEX is a package index that has torch's CPU builds. What a site binds at /mnt is used: pip.conf, and wheels
# of Horovod from an earlier set-up in cache/.
set -euo pipefail

site=/mnt
root=/opt/reprosgd
export REPRO_MPI=$1 REPRO_EXTRAS='' PIP_NO_CACHE_DIR=1
[ -z "${2:-}" ] || export PIP_EXTRA_INDEX_URL=$2
[ ! -f "$site/pip.conf" ] || export PIP_CONFIG_FILE=$site/pip.conf
REPRO_CACHE=$(mktemp -d)
trap 'rm -rf "$REPRO_CACHE"' EXIT
[ ! -d "$site/cache" ] || cp -r "$site/cache/." "$REPRO_CACHE"
export REPRO_CACHE

bash "$root/repro/launch/setup/install.sh" "$root/.venv"
"$root/.venv/bin/python" -m compileall -q "$root/repro" "$root/baselines"  # the image is read only
