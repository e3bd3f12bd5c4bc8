"""Files of sites, down to the batch script."""

import json
from functools import cache
from pathlib import Path

from repro.launch.plan import PlannedRun
from repro.launch.slurm import site
from repro.launch.slurm.arrays import arrays
from repro.launch.slurm.script import array_script, report_script
from repro.papers import PAPERS
from tests.fuzz import toml
from tests.fuzz.formats import Format

RUN = PlannedRun(PAPERS["demo"].cell("digits-dpsgd").recipe("smoke", 1, 4), "", done=False, seconds=10.0)


@cache
def valid() -> list[bytes]:
    every = {
        "title": "here", "launcher": "srun -n {ranks} -c {cores} {mpirun}", "mpi": "mpich", "partition": "normal",
        "account": "me", "qos": "high", "sbatch": ["--constraint=gpu"], "setup": ["module load x"],
        "container": "apptainer exec --nv", "binds": ["/scratch"], "cores_per_node": 12, "cores_per_rank": 2,
        "gpus_per_node": 2, "gpus_per_rank": 1, "gpu_options": ["--gres=gpu:{gpus}"], "concurrent": 3,
        "time": "4:00:00", "report_time": "10", "signal_s": 90,
    }  # fmt: skip
    return [toml.text_of(every).encode(), *(path.read_bytes() for path in sorted(site.FOLDER.glob("*.toml")))]


def read(content: bytes, folder: Path) -> None:
    path = folder / "here.toml"
    path.write_bytes(content)
    loaded = site.load(str(path))
    loaded.launcher_words(16, "/usr/bin/mpirun")
    for array in arrays([RUN], loaded, 3600.0):
        plan = folder / "plan.json"
        script = array_script(array, loaded, plan=plan, python="python", time=loaded.time, concurrent=loaded.concurrent)
        head, _, _ = script.partition("\nset -e\n")
        assert all(line.startswith("#") or not line for line in head.splitlines()), "the shell reads what Slurm should"
    report_script(loaded, folder=folder, results=folder, python="python")
    json.dumps(vars(loaded)).encode()


FORMAT = Format(valid, toml.make, read)
