"""What is read of saved states: the last that every rank has whole, and none of another run or program."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from mpi4py import MPI

from repro.errors import UserError
from repro.runs import checkpoint
from repro.runs.checkpoint import HEAD, KEPT, Checkpoints
from repro.runs.spec import Run, Sgd
from repro.runs.train import Point

WORLD = MPI.COMM_WORLD
RANK, SIZE = WORLD.rank, WORLD.size
RUN = Run("dpsgd", "digits", SIZE, 1, 4, 2.0, Sgd(0.1), "smoke")


def point(number: int) -> Point:
    x = torch.full((3,), float(10 * RANK + number))
    return Point(number, number, number, 0.5, 0.1, 1.5, x, x, torch.zeros(0))


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where four states with so many points have been saved, the same folder for all ranks."""
    own = tmp_path_factory.mktemp("saved") if RANK == 0 else None
    folder = Path(WORLD.bcast(own)) / "run.checkpoints"
    saved, points = Checkpoints(folder, RUN, WORLD), []
    for number in range(4):
        points.append(point(number))
        saved.save({"x": torch.tensor([number, RANK])}, points)
    return folder


def last(folder: Path, run: Run = RUN) -> tuple[int, int] | None:
    """The number in the state that is read, and of its points, after a check that they are this rank's."""
    found = Checkpoints(folder, run, WORLD).last()
    WORLD.Barrier()
    if found is None:
        return None
    state, points = found
    number, rank = state["x"].tolist()
    assert rank == RANK
    assert [p.model.tolist() for p in points] == [[10.0 * RANK + k] * 3 for k in range(len(points))]
    return number, len(points)


def in_one_rank(change) -> None:
    """Let the last rank do something to the files, while the others wait."""
    if RANK == SIZE - 1:
        change()
    WORLD.Barrier()


def test_the_last_state_is_read_and_two_are_kept(folder: Path) -> None:
    assert last(folder) == (3, 4)
    assert sorted(head.parent.name for head in folder.glob(f"*/{HEAD}")) == ["000003", "000004"]
    assert KEPT == 2
    assert last(folder.with_name("nothing")) is None


def test_a_state_that_one_rank_cannot_read_is_passed_over_by_all(folder: Path) -> None:
    file = folder / "000004" / f"rank-{RANK:05}.pt"
    in_one_rank(lambda: file.write_bytes(file.read_bytes()[:-1]))
    assert last(folder) == (2, 3)


def test_a_state_without_its_head_was_not_finished(folder: Path) -> None:
    in_one_rank((folder / "000004" / HEAD).unlink)
    assert last(folder) == (2, 3)


def test_a_damaged_point_takes_its_states_along(folder: Path) -> None:
    in_one_rank(lambda: (folder / f"point-0003-rank-{RANK:05}.pt").write_bytes(b"?"))
    assert last(folder) == (2, 3)
    in_one_rank((folder / f"point-0000-rank-{RANK:05}.pt").unlink)
    saved = Checkpoints(folder, RUN, WORLD)
    assert saved.last() is None
    saved.save({"x": torch.tensor([7, RANK])}, [point(0)])  # and what cannot be read does not count as newer
    assert last(folder) == (7, 1)


def test_a_damaged_head_is_passed_over(folder: Path) -> None:
    in_one_rank(lambda: (folder / "000004" / HEAD).write_text("{"))
    assert last(folder) == (2, 3)


def test_saving_goes_on_after_the_state_that_was_read(folder: Path) -> None:
    in_one_rank(lambda: (folder / "000004" / f"rank-{RANK:05}.pt").write_bytes(b"?"))
    saved = Checkpoints(folder, RUN, WORLD)
    found = saved.last()
    assert found is not None
    saved.save({"x": torch.tensor([7, RANK])}, [*found[1], point(3), point(4)])
    assert last(folder) == (7, 5)


class Exploit:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


def test_what_is_read_never_runs(folder: Path) -> None:
    """Even with its right digest in the head."""
    import hashlib

    trap, path = folder / f"trap-{RANK}", folder / "000004" / f"rank-{RANK:05}.pt"
    torch.save({"x": Exploit(trap), "points": []}, path)
    digests = WORLD.gather(hashlib.sha256(path.read_bytes()).hexdigest())
    if RANK == 0:
        head = json.loads((folder / "000004" / HEAD).read_text())
        (folder / "000004" / HEAD).write_text(json.dumps({**head, "sha256": digests}))
    WORLD.Barrier()
    assert last(folder) == (2, 3)
    assert not trap.exists()


def test_states_of_something_else_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"is of another run: go back to what saved it, or remove that folder"):
        last(folder, RUN.replace(seed=2))
    monkeypatch.setattr(checkpoint, "program_sha256", lambda: "0" * 64)
    with pytest.raises(UserError, match="is of another program: "):
        last(folder)
    monkeypatch.setattr(checkpoint, "package_versions", lambda: {"torch": "0.1"})
    with pytest.raises(UserError, match="is of another packages, program: "):
        last(folder)
    WORLD.Barrier()
    if RANK == 0:
        shutil.rmtree(folder)
