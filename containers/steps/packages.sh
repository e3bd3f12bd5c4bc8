#!/bin/sh
# In the image, on Debian or Ubuntu: the packages that set-up needs.
set -eu

export DEBIAN_FRONTEND=noninteractive
apt-get -q update
# a build that breaks off is thrown away, so nothing need be forced to disk
apt-get -q -o Dpkg::Options::=--force-unsafe-io install --yes --no-install-recommends \
    ca-certificates g++ make python3-dev python3-venv
rm -rf /var/lib/apt/lists/*
