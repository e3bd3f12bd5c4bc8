#!/bin/sh
# In the image, on Debian or Ubuntu: the packages that set-up needs.
set -eu

export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q install --yes --no-install-recommends ca-certificates g++ make python3-dev python3-venv
rm -rf /var/lib/apt/lists/*
