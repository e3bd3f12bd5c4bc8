"""Site files: what they may say, and one clear line for what they may not."""

from pathlib import Path

import pytest

from repro.errors import UserError
from repro.launch.slurm import site
from repro.launch.slurm.times import limit_s

GOOD = 'title = "here"\nlauncher = "srun -n {ranks}"\n'


@pytest.mark.parametrize("name", site.names())
def test_a_packaged_site_names_its_cluster_and_starts_ranks(name: str) -> None:
    loaded = site.load(name)
    assert loaded.title
    assert "7" in loaded.launcher_words(7, "mpirun")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('queue = "main"\n', ["unknown key 'queue'", "partition"]),
        ("partition = 5\n", ["partition must be a text", "5"]),
        ("cores_per_rank = 1.5\n", ["cores_per_rank must be a whole number", "1.5"]),
        ("cores_per_rank = 0\n", ["cores_per_rank must be at least 1", "0"]),
        ("concurrent = true\n", ["concurrent must be a whole number", "True"]),
        ('setup = "module load mpi"\n', ["setup must be a list of texts", "module load mpi"]),
        ("sbatch = [5]\n", ["sbatch must be a list of texts", "[5]"]),
        ('mpi = "lam"\n', ["mpi is 'lam'", "openmpi, mpich"]),
        ('time = "soon"\n', ["time limit", "'soon'"]),
        ("cores_per_node = 4\ncores_per_rank = 8\n", ["a node has not the cores"]),
        ('gpu_options = ["--gres=gpu:{number}"]\n', ["{gpus}", "number"]),
        ('container = "apptainer \'exec"\n', ["container is no command line"]),
        ("concurrent = 10000000000\n", ["more than any cluster has"]),
        ("partition\n", ["not TOML"]),
    ],
)
def test_what_a_site_file_may_not_say_is_one_line_with_the_file(tmp_path: Path, lines: str, words: list[str]) -> None:
    path = tmp_path / "here.toml"
    path.write_text(GOOD + lines)
    with pytest.raises(UserError) as refused:
        site.load(str(path))
    message = str(refused.value)
    assert "\n" not in message
    for word in (str(path), *words):
        assert word in message


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ('launcher = "srun -n {ranks}"', "title is missing"),
        ('title = "x"', "launcher is missing"),
        ('title = "x"\nlauncher = "srun"', "{ranks}"),
        ('title = "x"\nlauncher = "srun -n {size}"', "size"),
        ('title = "x"\nlauncher = "srun -n {ranks:3}"', "know only"),
        ('title = "x"\nlauncher = "srun -n {ranks!r}"', "know only"),
        ('title = "x"\nlauncher = "srun -n {ranks} }"', "know only"),
        ('title = "x"\nlauncher = "srun -n {ranks} {ranks.real}"', "know only"),
        ('title = "x"\nlauncher = "srun -n {ranks} \'"', "know only"),
    ],
)
def test_a_site_needs_a_title_and_a_launcher_line(tmp_path: Path, content: str, word: str) -> None:
    path = tmp_path / "here.toml"
    path.write_text(content)
    with pytest.raises(UserError, match=word.replace("{", r"\{")):
        site.load(str(path))


def test_a_site_there_is_not() -> None:
    with pytest.raises(UserError, match="unknown site 'nowhere'; known: dgx-infiniband, generic"):
        site.load("nowhere")
    with pytest.raises(UserError, match=r"site file nowhere\.toml cannot be read"):
        site.load("nowhere.toml")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 300), ("5:30", 330), ("2:00:00", 7200), ("1-0", 86400), ("1-2:30", 95400), ("2-01:00:01", 176401),
        ("UNLIMITED", float("inf")),
    ],
)  # fmt: skip
def test_limits_are_read_as_slurm_reads_them(text: str, seconds: float) -> None:
    assert limit_s(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "\u0661", "soon", "1:2:3:4", "-5", "1.5", "0:00:00"])
def test_limits_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match="time limit"):
        limit_s(text)
