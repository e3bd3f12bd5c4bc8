"""Print what a Horovod wheel is built for here: its cache key, then the run path of its library.

Run by horovod.sh with the Python of the environment, after torch and MPI are installed. The arguments are the
files that say how it is built; another content is another key.
"""

import hashlib
import os
import platform
import re
import sys
import sysconfig
from pathlib import Path

import mpi4py
import torch
from torch.utils.cpp_extension import CUDA_HOME

mpi4py.rc.initialize = False
from mpi4py import MPI  # noqa: E402  (after the switch above, so that no MPI is started)


def mpi_library_folder() -> str:
    """Return the folder of the MPI library that mpi4py has loaded into this process."""
    maps = Path("/proc/self/maps").read_text()
    found = re.search(r"(/.*)/libmpi\w*\.so", maps)
    if not found:
        sys.exit("mpi4py has loaded no libmpi")
    return found[1]


def run_path() -> str:
    """Return where the extension looks for libtorch and mpi4py's libmpi.

    What is in the environment is found relative to the extension, so that the wheel serves any environment.
    """
    extension = Path(sysconfig.get_path("platlib"), "horovod", "torch").resolve()
    mpi = mpi_library_folder()
    if Path(mpi).is_relative_to(Path(sys.prefix).resolve()):
        mpi = f"$ORIGIN/{os.path.relpath(mpi, extension)}"
    return f"$ORIGIN/../../torch/lib:{mpi}"


def key(recipe: list[str]) -> str:
    """Return a readable folder name that differs wherever one wheel would not serve for both."""
    mpi = MPI.Get_library_version().rstrip("\0")
    digest = hashlib.sha256("\n".join([mpi, run_path(), str(CUDA_HOME)]).encode())
    for file in recipe:
        digest.update(Path(file).read_bytes())
    name = re.sub(r"[^\w.]+", "", re.split(r"[,\n]", mpi)[0])
    machine = platform.machine() + "-" + "".join(platform.libc_ver())
    return f"{sys.implementation.cache_tag}-torch{torch.__version__}-{name}-{machine}-{digest.hexdigest()[:12]}"


print(key(sys.argv[1:]))
print(run_path())
