"""`repro doctor --launcher slurm`: sends one short job, and says what its ranks found."""

import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from repro.errors import UserError
from repro.launch import mpi_env
from repro.launch.container import Container
from repro.launch.doctor import Check
from repro.launch.slurm import commands, probe, site
from repro.launch.slurm.probe import RANKS, Answer
from repro.launch.slurm.script import probe_script
from repro.launch.slurm.site import Site

SLOW_GET = 0.5
"""Of the time a target computes: a get that takes longer has waited for it."""

SEEN_S = 15.0
"""A file that another node has written may be seen here so much later."""

CLOCK_S = 1.0
"""Clocks further apart than this make times of different hosts hard to compare."""


def examine(site_name: str, container: Container | None = None) -> Iterator[Check]:
    """Yield the outcome of each check, once the job has answered.

    Args:
        site_name: name or file of the cluster.
        container: the image to start ranks in; by default they are started with the Python here.

    Raises:
        UserError: there is no Slurm, or it refuses the job.
    """
    the_site = site.load(site_name)
    version = container.mpi if container else mpi_env.library_version()
    if why := mpi_env.refusal(version):  # it may crash before it can tell
        yield Check("MPI library", False, f"{version} must not be used: {why}", "take another MPI")
        return
    python = container.python(map(Path, the_site.binds)) if container else (sys.executable,)
    job, answers = _ask(the_site, python)
    for answer in answers[:-1]:
        yield Check("launcher", False, f"{answer['launcher']}: {_alone(answer)}")
    answer = answers[-1]
    yield _ranks(job, answer, the_site)
    if "started_by" in answer:
        yield _library(answer, the_site)
    if probe.works(answer):
        yield from _measured(answer)


def _ask(the_site: Site, python: Sequence[str]) -> tuple[str, list[Answer]]:
    commands.find("sbatch")
    # here, since a job on another node sees this folder, and not /tmp
    if not os.access(Path.cwd(), os.W_OK):
        raise UserError(f"{Path.cwd()} cannot be written; go to a folder of yours that the cluster's nodes see")
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=Path.cwd()) as name:
        folder = Path(name)
        question, answer, script, log = (
            folder / part for part in ("question.json", "answer.json", "job.sh", "job.log")
        )
        told = {key: value for key, value in asdict(the_site).items() if value is not None}
        question.write_text(json.dumps({"site": told, "python": list(python)}))
        command = shlex.join([sys.executable, "-m", "repro.launch.slurm.probe", str(question), str(answer)])
        try:
            script.write_text(probe_script(the_site, ranks=RANKS, nodes=2, log=log, command=command))
            commands.check_script(script)
        except UserError:  # a cluster of one node
            script.write_text(probe_script(the_site, ranks=RANKS, nodes=None, log=log, command=command))
            commands.check_script(script)
        job = commands.submit_and_wait(script)
        end = time.monotonic() + SEEN_S
        while not answer.is_file() and time.monotonic() < end:
            time.sleep(0.5)
        if not answer.is_file():
            lines = (log.read_text().splitlines() if log.is_file() else []) or ["it left no message"]
            raise UserError(f"job {job} has not answered: {lines[-1]}")
        return job, json.loads(answer.read_text())


def _ranks(job: str, answer: Answer, the_site: Site) -> Check:
    launcher = answer["launcher"]
    if not probe.works(answer):
        fix = "load the MPI that Python was set up for in the site's `setup`, or ask your site how it starts MPI jobs"
        return Check(
            "launcher", False, f"{launcher}: {_alone(answer)}; none of them starts ranks that see each other", fix
        )
    found = f"job {job}: {launcher} started {RANKS} ranks, each sees {RANKS}"
    if launcher == the_site.launcher:
        return Check("launcher", True, found)
    return Check("launcher", False, found, f"put this line into the site file: launcher = {json.dumps(launcher)}")


def _alone(answer: Answer) -> str:
    if "error" in answer:
        return str(answer["error"])
    sizes = answer["ranks"]["sizes"]
    told = answer["started_by"]["pmi"] or "nothing"
    return f"started {RANKS} ranks, but one sees {sizes[0]}: its MPI is not told of the others ({told} is set)"


def _library(answer: Answer, the_site: Site) -> Check:
    version = answer["started_by"]["library"].split(",")[0].splitlines()[0]
    where = "in the container" if answer["started_by"]["container"] else "of Python"
    family = site.family_of(version)
    if why := mpi_env.refusal(answer["started_by"]["library"].replace(",", "")):
        return Check("MPI library", False, f"{version} {where} must not be used: {why}", "take another MPI")
    if family != the_site.mpi:
        fix = f"mpi = {json.dumps(family)} in the site file, or a Python or image with {site.FAMILIES[the_site.mpi]}"
        found = f"{version} {where}, and the site's is of the {site.FAMILIES[the_site.mpi]} family"
        return Check("MPI library", False, found, fix)
    told = answer["started_by"]["pmi"] or "no PMI that is known here"
    return Check(
        "MPI library", True, f"{version} {where}, as the site says; its ranks were told of each other by {told}"
    )


def _measured(answer: Answer) -> Iterator[Check]:
    level = answer["ranks"]["thread_level"]
    yield Check("thread level", level == "multiple", level, "" if level == "multiple" else "take another MPI")
    wrong = answer["windows"]["wrong"]
    found = f"{', '.join(wrong)} gave wrong values" if wrong else "lock, put, get and atomic operations right"
    yield Check("one-sided windows", not wrong, found, "take another MPI" if wrong else "")
    shared = answer["shared"]
    found = f"{shared['ranks_on_node']} ranks of a node read each other's memory"
    yield Check("shared windows", shared["right"], found if shared["right"] else "ranks read wrong values")
    horovod = answer["horovod"]
    right = horovod["same_ranks"] and horovod["right"] and horovod["controller"] == "mpi"
    about = f"{horovod['version']} with torch {horovod['torch']}, controller {horovod['controller']}"
    gpus = f"; {', '.join(horovod['gpus'])}" if horovod["gpus"] else ""
    said = f"its ranks are mpi4py's, mean over {RANKS} ranks right{gpus}"
    yield Check("Horovod", right, f"{about}; {said if right else 'its ranks or its mean are wrong'}")
    network = answer["network"]
    hosts = sorted(set(network["hosts"]))
    between = f"between {hosts[0]} and another host" if len(hosts) > 1 else f"within {hosts[0]}"
    speed = f"{1e6 * network['latency_s']:.3g} us, {network['bandwidth_bytes_per_s'] / 1e9:.3g} GB/s {between}"
    yield Check("network", True, speed)
    get_s, computes_s = answer["progress"]["get_s"], answer["progress"]["target_computes_s"]
    waited = get_s > SLOW_GET * computes_s
    found = f"a get took {1e3 * get_s:.3g} ms while its target computed for {1e3 * computes_s:.0f} ms"
    fix = (
        "asynchronous methods wait for their targets here; look for your MPI's asynchronous progress" if waited else ""
    )
    yield Check("passive progress", not waited, found, fix, required=False)
    apart_s = max(map(abs, answer["clocks"]["offsets_s"]))
    fix = "let your site synchronise its clocks" if apart_s > CLOCK_S else ""
    yield Check("clocks", apart_s <= CLOCK_S, f"at most {1e3 * apart_s:.3g} ms apart", fix, required=False)
