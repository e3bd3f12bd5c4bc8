#!/usr/bin/env bash
# Usage: as_root.sh COMMAND...
# Runs COMMAND as a root that holds every capability, over all users, in a user namespace of its own: what `apptainer
# build` wants of root, also where the root that there is lacks a capability.
set -euo pipefail

unset APPTAINER_USERNS  # a namespace within this one would have no user but root, and apt wants another

meeting=$(mktemp -d)
trap 'rm -rf "$meeting"' EXIT
mkfifo "$meeting/inner" "$meeting/mapped"
# shellcheck disable=SC2016
unshare --user --mount sh -c 'echo $$ >"$0/inner"; read -r _ <"$0/mapped"; exec "$@"' "$meeting" "$@" &
read -r inner <"$meeting/inner"
echo "0 0 65536" >"/proc/$inner/uid_map"
echo "0 0 65536" >"/proc/$inner/gid_map"
echo >"$meeting/mapped"
wait "$!"
