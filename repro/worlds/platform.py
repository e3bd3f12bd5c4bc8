"""Machines for the simulated world: what a message and a gradient cost on them.

A platform file says where each of its figures comes from:

    title = "..."
    papers = ["..."]
    [node]
    workers = { value = 1, evidence = "text", source = "..." }
    [network.between]                # a node's network card; [network.within] likewise
    latency_s = { ... }
    bytes_per_s = { ... }
    [compute]
    overhead_s = { ... }             # of a step, whatever the batch
    flops_per_s = { ... }            # sustained in training, not the peak
    [[compute.measured]]             # wins over the two above, for its workload
    workload = "resnet50-imagenet"
    batch_size = 64
    seconds = 0.318
    evidence = "vendor"
    source = "..."

Evidence is one of `GRADES`; an arithmetic result is never graded above the figures it comes from.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from repro.errors import UserError
from repro.tomlfile import read_toml

FOLDER = Path(__file__).parent / "platforms"

SMALLEST, LARGEST = 1e-30, 1e30
"""No figure of a machine is near these; beyond, sums of its powers, or what is divided by it, may not be finite."""

GRADES = {
    "table": "a table of a paper",
    "text": "the text of a paper",
    "figure": "read off a figure of a paper",
    "authors-data": "data or code that the authors published",
    "vendor": "a public document of the machine's maker or operator that was read",
    "measured": "measured by `repro calibrate`",
    "inferred": "arithmetic from other figures, which the source states",
    "unverified": "from memory, or a third party's",
}


@dataclass(frozen=True)
class Workload:
    """What a gradient costs and how big the model is.

    Attributes:
        num_params: d, so that a model is 4d bytes.
        flops_per_sample: of forward and backward pass; a multiply-add counts as two.
    """

    name: str
    num_params: int
    flops_per_sample: float


@dataclass(frozen=True)
class Link:
    """One direction of one port: n bytes take latency_s + n / bytes_per_s seconds."""

    latency_s: float
    bytes_per_s: float


@dataclass(frozen=True)
class Measured:
    """Seconds a worker takes for one gradient of a workload at one batch size."""

    workload: str
    batch_size: int
    seconds: float


@dataclass(frozen=True)
class Platform:
    """A machine.

    Attributes:
        name: stem of its file, e.g. `piz-daint`.
        sha256: hex digest of the file.
        between: network card of a node, shared by the node's workers; each direction carries one byte stream at a time.
        within: a worker's own port to the other workers of its node.
        overhead_s: seconds of a step that do not depend on the batch, for workloads that were not measured.
        flops_per_s: sustained in training, for workloads that were not measured.
    """

    name: str
    title: str
    sha256: str
    workers_per_node: int
    between: Link
    within: Link
    overhead_s: float
    flops_per_s: float
    measured: tuple[Measured, ...] = ()

    @property
    def key(self) -> str:
        """What a run calls it: its name, and twelve digits of its file's digest."""
        return f"{self.name}@{self.sha256[:12]}"

    def gradient_s(self, workload: Workload, batch_size: int) -> float:
        """Return the seconds one worker takes for the gradient of a mini-batch of b samples.

        From measurements t_i at b_i: the least-squares line a + c*b, a, c >= 0, or with a single one
        overhead + (t_0 - overhead) * b/b_0. Without any: overhead + flops_per_sample * b / flops_per_s.
        """
        points = [(row.batch_size, row.seconds) for row in self.measured if row.workload == workload.name]
        if len(points) > 1:
            start, slope = fit_line(points)
            return start + slope * batch_size
        if points:
            known_size, known_s = points[0]
            return self.overhead_s + (known_s - self.overhead_s) * batch_size / known_size
        return self.overhead_s + workload.flops_per_sample * batch_size / self.flops_per_s


def fit_line(points: Sequence[tuple[float, float]], *, relative: bool = False) -> tuple[float, float]:
    """Return (a, c), both >= 0, of the least-squares line t = a + c*x through points (x, t) with two x at least.

    Args:
        relative: minimise the squares of the relative errors (a + c*x - t) / t instead of the absolute ones.
    """
    weights = [1 / t**2 if relative else 1.0 for _, t in points]

    def mean(values: Sequence[float]) -> float:
        return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)

    x_mean, t_mean = mean([x for x, _ in points]), mean([t for _, t in points])
    slope = mean([(x - x_mean) * (t - t_mean) for x, t in points]) / mean([(x - x_mean) ** 2 for x, _ in points])
    if slope < 0:
        return t_mean, 0.0
    if t_mean < slope * x_mean:
        return 0.0, mean([x * t for x, t in points]) / mean([x * x for x, _ in points])
    return t_mean - slope * x_mean, slope


def names() -> list[str]:
    """Return the names of the packaged platforms."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name_or_path: str) -> Platform:
    """Return a packaged platform by its name, or the one in a file whose path ends in .toml.

    Raises:
        UserError: there is none, or its file says something that cannot be.
    """
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
    elif name_or_path in names():
        path = FOLDER / f"{name_or_path}.toml"
    else:
        raise UserError(f"unknown platform {name_or_path!r}; known: {', '.join(names())}, or the path of a .toml file")
    table, content = read_toml(path, "platform")
    fields = _Fields(path, table)
    overhead_s = fields.figure("compute.overhead_s", zero=True)
    return Platform(
        name=path.stem,
        title=fields.text("title"),
        sha256=hashlib.sha256(content).hexdigest(),
        workers_per_node=fields.count("node.workers"),
        between=_link(fields, "network.between"),
        within=_link(fields, "network.within"),
        overhead_s=overhead_s,
        flops_per_s=fields.figure("compute.flops_per_s"),
        measured=_measured(fields, overhead_s),
    )


@cache
def key_of(name: str) -> str:
    """Return the key of a packaged platform."""
    return load(name).key


def of_run(key: str, path: str | None) -> Platform:
    """Return the platform of a run, whose file must be the one that the run was planned with.

    Args:
        key: a platform's `key`.
        path: of its file, where it is not packaged.

    Raises:
        UserError: the file has changed, or is not there.
    """
    platform = load(path or key.partition("@")[0])
    if platform.key != key:
        raise UserError(f"the run is for platform {key}, but the file now is {platform.key}")
    return platform


@dataclass(frozen=True)
class _Fields:
    """The contents of a file, which says what is wrong with which field."""

    path: Path
    content: Mapping[str, Any]

    def wrong(self, field: str, what: str) -> UserError:
        return UserError(f"platform file {self.path}: {field} {what}")

    def get(self, field: str) -> Any:
        """Return the value at a dotted name."""
        value: Any = self.content
        for part in field.split("."):
            if not isinstance(value, Mapping) or part not in value:
                raise self.wrong(field, "is missing")
            value = value[part]
        return value

    def text(self, field: str) -> str:
        value = self.get(field)
        if not isinstance(value, str) or not value or not value.isprintable():
            raise self.wrong(field, f"must be a text, not {value!r}")
        return value

    def figure(self, field: str, *, zero: bool = False) -> float:
        """Return the value of a figure that must be above 0, or, with `zero`, not below."""
        self.graded(field)
        return self.number(f"{field}.value", zero=zero)

    def count(self, field: str) -> int:
        """Return the value of a figure that counts something."""
        self.graded(field)
        return self.whole(f"{field}.value")

    def graded(self, field: str) -> None:
        """Check that `field` is a table that says where its value comes from."""
        if not isinstance(self.get(field), Mapping):
            raise self.wrong(field, "must be { value = ..., evidence = ..., source = ... }")
        self.text(f"{field}.source")
        if (grade := self.text(f"{field}.evidence")) not in GRADES:
            raise self.wrong(f"{field}.evidence", f"is {grade!r}; known: {', '.join(GRADES)}")

    def number(self, field: str, *, zero: bool = False) -> float:
        value = self.get(field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(field, f"must be a number, not {value!r}")
        if not (0 < value < float("inf") or (zero and value == 0)):
            raise self.wrong(field, f"must be {'0 or more' if zero else 'above 0'}, not {value!r}")
        if value and not SMALLEST <= value <= LARGEST:
            raise self.wrong(field, f"must be from {SMALLEST:g} to {LARGEST:g}, not {value!r}")
        return float(value)

    def whole(self, field: str) -> int:
        if not (value := self.number(field)).is_integer():
            raise self.wrong(field, f"must be a whole number, not {value!r}")
        return int(value)


def _link(fields: _Fields, table: str) -> Link:
    return Link(fields.figure(f"{table}.latency_s", zero=True), fields.figure(f"{table}.bytes_per_s"))


def _measured(fields: _Fields, overhead_s: float) -> tuple[Measured, ...]:
    content = fields.get("compute").get("measured", [])
    if not isinstance(content, list):
        raise fields.wrong("compute.measured", "must be [[compute.measured]], a list of tables")
    rows = _Fields(fields.path, {f"compute measured {number}": row for number, row in enumerate(content, 1)})
    found: list[Measured] = []
    for row in rows.content:
        rows.graded(row)
        found.append(
            Measured(rows.text(f"{row}.workload"), rows.whole(f"{row}.batch_size"), rows.number(f"{row}.seconds"))
        )
    for workload in {row.workload for row in found}:
        sizes = [row.batch_size for row in found if row.workload == workload]
        if len(set(sizes)) < len(sizes):
            raise fields.wrong("compute.measured", f"has {workload} twice at one batch size")
        if any(row.seconds < overhead_s for row in found if row.workload == workload):
            raise fields.wrong("compute.measured", f"has {workload} in less than compute.overhead_s")
    return tuple(found)


# Models too big to train here, of whose messages and steps the papers speak. Parameters and operations were counted
# layer by layer (tests/test_platform.py) where no other source is given; a backward pass costs twice the forward one,
# less the gradient towards the images, which nobody needs.
WORKLOADS = {
    workload.name: workload
    for workload in (
        # He et al. 2016, section 4.2, with 1x1 convolutions in the shortcuts, as in SwarmSGD's code
        Workload("resnet20-cifar10", 272_474, 243_994_368),
        # He et al. 2016, table 1, as torchvision builds them: 1.81e9 and 4.09e9 multiply-adds forward
        Workload("resnet18-imagenet", 11_689_512, 10_648_412_160),
        Workload("resnet50-imagenet", 25_557_032, 24_299_077_632),
        # MATCHA's code, models/wrn.py with 100 classes: its convolutions have biases, 10,096 in all
        Workload("wide-resnet-28-10", 36_546_980, 31_459_433_472),
        # Vaswani et al. 2017, base size. The count is from memory of WAGMA-SGD (Li et al. 2020), unverified; a sample
        # is a token, at 6 operations a parameter (Kaplan et al. 2020, section 2.1)
        Workload("transformer-wmt17", 61_362_176, 6 * 61_362_176),
        # EASGD (arXiv 1412.6651), experiments: the 7-layer network for CIFAR-10 and the 11-layer one for ImageNet, the
        # latter's kernel sizes inferred from the sizes of its feature maps
        Workload("easgd-cifar10", 351_946, 91_880_448),
        Workload("easgd-imagenet", 61_128_808, 6_763_284_480),
        # Krizhevsky et al. 2012 without its groups: 62 million parameters, as in QSGD (arXiv 1610.02132), table 1
        Workload("alexnet-imagenet", 62_378_344, 6_600_706_176),
        # Mem-SGD (arXiv 1809.07599), table 1; one pass over the non-zero features forward and one back, 4 operations
        # each. Epsilon is dense, RCV1 has about 70 non-zeros in a sample
        Workload("logistic/epsilon", 2_000, 4 * 2_000),
        Workload("logistic/rcv1", 47_236, 4 * 70),
    )
}
