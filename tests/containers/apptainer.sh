#!/usr/bin/env bash
# Usage: apptainer.sh FOLDER
# Unpacks Apptainer and what it needs, from Debian's unstable suite, into FOLDER and prints the folder of its programs.
# Debian 12 has no Apptainer, and unstable's needs a newer libc6: nothing of it is installed into the system.
set -euo pipefail

folder=$(mkdir -p "$1" && cd "$1" && pwd)
root=$folder/root
if [ -e "$folder/ready" ]; then
    echo "$root/usr/bin"
    exit
fi

# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m 1 '/debian/$')
state=$folder/apt
mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$root"
: >"$state/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror unstable main" >"$state/sources.list"
apt=(apt-get -q -o Dir::Etc::SourceList="$state/sources.list" -o Dir::Etc::SourceParts=- -o Dir::State="$state"
    -o Dir::State::Status="$state/status" -o Dir::Cache="$state/cache" -o APT::Sandbox::User=root
    -o Acquire::Languages=none)
"${apt[@]}" update >&2
"${apt[@]}" install --yes --download-only --no-install-recommends apptainer squashfs-tools squashfuse >&2
for package in "$state"/cache/archives/*.deb; do dpkg-deb -x "$package" "$root"; done

# The programs are to use the libraries beside them.
libraries=$(dirname "$(find "$root/usr/lib" -name libc.so.6)")
loader=$(find -L "$root/usr" -name 'ld-linux-*.so.*' | head -n 1)
for program in "$libraries"/apptainer/bin/starter "$root"/usr/bin/{apptainer,mksquashfs,unsquashfs,squashfuse,squashfuse_ll}; do
    [ ! -e "$program" ] || patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" "$program"
done
# Apptainer looks for its settings beside where its programs lie now.
ln -s ../etc "$root/usr/etc"
ln -s ../../etc "$root/usr/lib/etc"
mkdir -p "$root"/usr/{,lib/}var/lib/apptainer/mnt/session
touch "$folder/ready"
echo "$root/usr/bin"
