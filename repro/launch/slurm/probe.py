"""What the doctor's job does on its first node: `python -m repro.launch.slurm.probe QUESTION.json ANSWER.json`.

It starts ranks by the site's launcher; where those do not see each other, by the others that clusters have, so that the
doctor can name one that works.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE
from typing import Any

from repro.errors import UserError
from repro.launch.slurm.launcher import Slurm
from repro.launch.slurm.site import Site, from_table

RANKS = 4
LIMIT_S = 120.0
LAUNCHERS = (
    "srun --mpi=pmix -n {ranks}",
    "srun --mpi=pmi2 -n {ranks}",
    "{mpirun} --bind-to none -n {ranks}",
)

Answer = dict[str, Any]


def answers(site: Site, python: Sequence[str]) -> list[Answer]:
    """Return what came of each launcher, until one has worked: the probe's parts, or `error`."""
    found: list[Answer] = []
    for launcher in dict.fromkeys((site.launcher, *LAUNCHERS)):
        found.append({"launcher": launcher, **_answer(replace(site, launcher=launcher), python)})
        if works(found[-1]):
            break
    return found


def works(answer: Answer) -> bool:
    """Whether every rank has seen all."""
    return answer.get("ranks", {}).get("sizes") == [RANKS] * RANKS


def _answer(site: Site, python: Sequence[str]) -> Answer:
    launcher = Slurm(site, python)
    try:
        command = launcher.on_ranks(RANKS, ["-m", "mpi4py", "-m", "repro.launch.probe", "job"])
        ran = subprocess.Popen(command, env=os.environ | launcher.variables(RANKS), stdout=PIPE, stderr=PIPE, text=True)
        output, errors = ran.communicate(timeout=LIMIT_S)
    except (UserError, OSError) as error:
        return {"error": str(error)}
    except subprocess.TimeoutExpired:
        _end(ran)
        return {"error": f"the ranks hung for {LIMIT_S:.0f} s"}
    told = [line for line in output.splitlines() if line.startswith("{")]
    if told:
        return dict(json.loads(told[-1]))
    lines = [line.strip() for line in errors.splitlines() if line.strip()] or ["no message"]
    reason = next((line for line in lines if "rror" in line), lines[-1])
    return {"error": f"exit code {ran.returncode}: {reason}"}


def _end(launcher: "subprocess.Popen[str]") -> None:
    """Ask it to take its ranks along, which would have the cores that the next one needs; kill it if it does not."""
    launcher.terminate()
    try:
        launcher.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        launcher.kill()
        launcher.communicate()


def main(question: Path, answer: Path) -> None:
    """Answer the question in a file: a site and the command that runs Python there."""
    asked = json.loads(question.read_text())
    draft = answer.with_suffix(".draft")
    draft.write_text(json.dumps(answers(from_table(asked["site"]), asked["python"])))
    draft.rename(answer)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
