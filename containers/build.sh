#!/usr/bin/env bash
# Usage: build.sh cpu|gpu|mpich|docker [OUTPUT]
# Builds the image of the checked-out commit: with Apptainer an image file (by default build/containers/reprosgd-VARIANT.sif),
# with Docker, Podman or buildah the image reprosgd:cpu.
#
# Variables:
#   BASE         base image, as AGENT:REFERENCE; by default of a registry, by digest. Where none can be reached:
#                BASE=localimage:FOLDER, a root file system made by debootstrap or mmdebstrap, or, for docker,
#                BASE=docker:NAME of an image that is here.
#   TORCH_INDEX  package index of torch's CPU builds; empty where pip finds such a build by itself
#   BUILD_FILES  folder bound at /mnt while the image is built: pip.conf of a site's own, and what that names
#   PRINT        set to 1: print the command line, and build nothing
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
variant=$1

# The digests are those that several public Dockerfiles pin for these tags. `apptainer build` and `docker build` refuse
# what does not have them. Newer ones: `docker buildx imagetools inspect debian:bookworm-slim`.
debian=docker:debian:bookworm-slim@sha256:4724b8cc51e33e398f0e2e15e18d5ec2851ff0c2280647e1310bc1642182655d
nvidia=docker:nvidia/cuda:13.0.1-devel-ubuntu24.04@sha256:7d2f6a8c2071d911524f95061a0db363e24d27aa51ec831fcccf9e76eb72bc92

pinned() { sed -n "s/^$1==//p" "$root/constraints.txt"; }

base=$debian
mpi=openmpi
torch_index=https://download.pytorch.org/whl/cpu
case $variant in
    cpu | docker) ;;
    gpu) base=$nvidia torch_index= ;;  # PyPI's own torch is the CUDA build
    mpich) mpi=mpich ;;
    *) echo "build.sh: no variant $variant; there are cpu, gpu, mpich and docker" >&2; exit 2 ;;
esac
case $mpi in
    openmpi) mpi_name="Open MPI" mpi_abi=libmpi.so.40 ;;
    mpich) mpi_name=MPICH mpi_abi=libmpi.so.12 ;;
esac
base=${BASE-$base}
torch_index=${TORCH_INDEX-$torch_index}
for value in "$base" "$torch_index"; do  # both get into a recipe that shells read
    case $value in *[!A-Za-z0-9_./:@%+=~-]*) echo "build.sh: no base image or index has such a name: $value" >&2; exit 2 ;; esac
done
case ${BUILD_FILES:-} in *[:,]*) echo "build.sh: a folder with : or , cannot be bound: $BUILD_FILES" >&2; exit 2 ;; esac
agent=${base%%:*}
reference=${base#*:}
name=$reference
[ "$agent" != localimage ] || name=localimage:$(basename "$reference")  # a path says nothing elsewhere
arguments=(
    "BOOTSTRAP=$agent" "BASE=$reference" "BASE_NAME=$name" "VARIANT=${variant/docker/cpu}"
    "MPI=$mpi" "MPI_NAME=$mpi_name" "MPI_VERSION=$(pinned "$mpi")" "MPI_ABI=$mpi_abi"
    "TORCH_INDEX=$torch_index" "TORCH_VERSION=$(pinned torch)" "HOROVOD_VERSION=$(pinned horovod)"
    "COMMIT=$(git -C "$root" rev-parse HEAD)"
)

first_of() {  # NAME...
    local program
    for program in "$@"; do
        if command -v "$program" >/dev/null; then
            echo "$program"
            return
        fi
    done
    echo "build.sh: none of $* is on PATH" >&2
    exit 2
}

options=()
for argument in "${arguments[@]}"; do options+=(--build-arg "$argument"); done
if [ "$variant" = docker ]; then
    output=${2:-reprosgd:cpu}
    [ -z "${BUILD_FILES:-}" ] || options+=(--volume "$BUILD_FILES:/mnt:ro")
    program=$([ "${PRINT:-}" = 1 ] && echo docker || first_of podman buildah docker)
    # by default 64 MB, too little for ranks that share memory
    command=("$program" build --shm-size 1g "${options[@]}" --file "$here/Dockerfile" --tag "$output" .)
else
    output=$(realpath -m "${2:-$root/build/containers/reprosgd-$variant.sif}")
    [ -z "${BUILD_FILES:-}" ] || options+=(--bind "$BUILD_FILES:/mnt")
    [ "$variant" != gpu ] || options+=(--nv)
    # the default, level 9, takes several times as long for a file a few percent smaller
    options+=(--mksquashfs-args "-comp gzip -Xcompression-level 1")
    program=$([ "${PRINT:-}" = 1 ] && echo apptainer || first_of apptainer singularity)
    command=("$program" build "${options[@]}" "$output" "$here/reprosgd.def")
fi
if [ "${PRINT:-}" = 1 ]; then
    printf '%s\n' "${command[@]}"
    exit
fi

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
mkdir "$context/source"
git -C "$root" archive HEAD | tar -x -C "$context/source"
[ "$variant" = docker ] || mkdir -p "$(dirname "$output")"
cd "$context"
"${command[@]}"
echo "built $output"
