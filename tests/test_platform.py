"""Platform files: what the packaged ones hold, what a gradient takes, and one clear line for a bad file."""

import hashlib
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from repro.errors import UserError
from repro.worlds.platform import (
    FOLDER,
    GRADES,
    WORKLOADS,
    Link,
    Measured,
    Platform,
    Workload,
    fit_line,
    load,
    names,
)

GOOD = """
title = "A machine"
papers = ["A paper"]

[node]
workers = { value = 4, evidence = "text", source = "s" }

[network.between]
latency_s = { value = 1e-6, evidence = "vendor", source = "s" }
bytes_per_s = { value = 1e9, evidence = "figure", source = "s" }

[network.within]
latency_s = { value = 0, evidence = "unverified", source = "s" }
bytes_per_s = { value = 4_000_000_000, evidence = "inferred", source = "s" }

[compute]
overhead_s = { value = 1e-3, evidence = "measured", source = "s" }
flops_per_s = { value = 1e12, evidence = "table", source = "s" }

[[compute.measured]]
workload = "digits"
batch_size = 8
seconds = 0.01
evidence = "authors-data"
source = "s"
"""


def write(folder: Path, content: str) -> str:
    path = folder / "machine.toml"
    path.write_text(content)
    return str(path)


# -- the packaged files


def tables_with_a_value(content: dict[str, Any], name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every table that holds a figure, i.e. whose field is `value` or `seconds`."""
    if "value" in content or "seconds" in content:
        yield name, content
    for key, inner in content.items():
        for number, table in enumerate(inner if isinstance(inner, list) else [inner]):
            if isinstance(table, dict):
                yield from tables_with_a_value(table, f"{name}.{key}[{number}]")


def test_the_machines_of_the_papers_are_there() -> None:
    wanted = {"piz-daint", "ec2-p2", "titan-infiniband", "ethernet-5g-titanx", "dgx-10gbe", "xeon-24core"}
    assert wanted <= set(names())


@pytest.mark.parametrize("name", names())
def test_every_packaged_figure_has_a_source_and_a_grade(name: str) -> None:
    content = tomllib.loads((FOLDER / f"{name}.toml").read_text())
    assert content["papers"]
    figures = dict(tables_with_a_value(content))
    assert len(figures) >= 7
    for field, table in figures.items():
        assert table["evidence"] in GRADES, field
        assert len(table["source"]) > 10, field
        # the packaged figures are other people's; what was measured here stays here
        assert table["evidence"] != "measured", field


@pytest.mark.parametrize("name", names())
def test_every_packaged_file_loads(name: str) -> None:
    platform = load(name)
    assert platform.name == name
    assert platform.sha256 == hashlib.sha256((FOLDER / f"{name}.toml").read_bytes()).hexdigest()
    for row in platform.measured:
        assert platform.gradient_s(WORKLOADS[row.workload], row.batch_size) == pytest.approx(row.seconds, rel=0.05)
    for workload in WORKLOADS.values():
        times = [platform.gradient_s(workload, b) for b in (1, 2, 1000)]
        assert 0 < times[0] < times[1] < times[2]


def test_a_figure_from_memory_is_unverified() -> None:
    for name in names():
        for field, table in tables_with_a_value(tomllib.loads((FOLDER / f"{name}.toml").read_text())):
            if "from memory" in table["source"]:
                assert table["evidence"] == "unverified", (name, field)


# -- workloads


def convolutions(layers: list[tuple[int, int, int, int]], *, norm: bool, bias: bool) -> tuple[int, int]:
    """Parameters and multiply-adds of convolutions (channels in, out, kernel, side of the output)."""
    params = sum(i * o * k * k + 2 * o * norm + o * bias for i, o, k, _ in layers)
    return params, sum(i * o * k * k * side * side for i, o, k, side in layers)


def linears(layers: list[tuple[int, int]]) -> tuple[int, int]:
    return sum(i * o + o for i, o in layers), sum(i * o for i, o in layers)


def resnet(*, bottleneck: bool, blocks: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    layers, channels, side = [(3, 64, 7, 112)], 64, 56
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        for block in range(count):
            before, side = side, side // 2 if block == 0 and stage else side
            if bottleneck:
                out = 4 * width
                layers += [(channels, width, 1, before), (width, width, 3, side), (width, out, 1, side)]
            else:
                out = width
                layers += [(channels, out, 3, side), (out, out, 3, side)]
            if out != channels or side != before:
                layers.append((channels, out, 1, side))
            channels = out
    return layers


def wide_resnet() -> tuple[list[tuple[int, int, int, int]], int]:
    """WRN-28-10's convolutions, and the parameters of its normalisation, which stands before them."""
    layers, channels, side, norms = [(3, 16, 3, 32)], 16, 32, 0
    for stage in range(3):
        width = 160 * 2**stage
        for block in range(4):
            side = side // 2 if block == 0 and stage else side
            norms += 2 * channels + 2 * width
            layers += [(channels, width, 3, side), (width, width, 3, side)]
            if channels != width:
                layers.append((channels, width, 1, side))
            channels = width
    return layers, norms + 2 * channels


def counted() -> dict[str, tuple[int, int]]:
    """Parameters and operations of the networks of WORKLOADS, layer by layer."""
    wide, norms = wide_resnet()
    cifar = [(3, 64, 5, 24), (64, 128, 5, 8), (128, 64, 3, 2)]
    imagenet = [(3, 96, 7, 108), (96, 256, 5, 32), (256, 384, 3, 14), (384, 384, 2, 13), (384, 256, 2, 12)]
    alexnet = [(3, 96, 11, 55), (96, 256, 5, 27), (256, 384, 3, 13), (384, 384, 3, 13), (384, 256, 3, 13)]
    networks = {
        "resnet18-imagenet": (resnet(bottleneck=False, blocks=(2, 2, 2, 2)), [(512, 1000)], 0, True),
        "resnet50-imagenet": (resnet(bottleneck=True, blocks=(3, 4, 6, 3)), [(2048, 1000)], 0, True),
        "wide-resnet-28-10": (wide, [(640, 100)], norms, False),
        "easgd-cifar10": (cifar, [(256, 256), (256, 10)], 0, False),
        "alexnet-imagenet": (alexnet, [(9216, 4096), (4096, 4096), (4096, 1000)], 0, False),
        "easgd-imagenet": (imagenet, [(9216, 4096), (4096, 4096), (4096, 1000)], 0, False),
    }
    found = {}
    for name, (layers, heads, norms, norm) in networks.items():
        params, multiply_adds = convolutions(layers, norm=norm, bias=not norm)
        head_params, head_multiply_adds = linears(heads)
        _, first = convolutions(layers[:1], norm=False, bias=False)
        # forward once, backward twice; 2 operations each; no gradient towards the images
        operations = 6 * (multiply_adds + head_multiply_adds) - 2 * first
        found[name] = params + head_params + norms, operations
    return found


def test_workloads_are_as_large_as_their_layers() -> None:
    for name, (params, operations) in counted().items():
        assert (WORKLOADS[name].num_params, WORKLOADS[name].flops_per_sample) == (params, operations), name


def test_resnet20_is_counted_as_torch_counts_it() -> None:
    from torch import randn
    from torch.utils.flop_counter import FlopCounterMode

    from repro.tasks.models.resnet import ResNet20

    model = ResNet20(10)
    with FlopCounterMode(display=False) as counter:
        model(randn(2, 3, 32, 32)).sum().backward()
    workload = WORKLOADS["resnet20-cifar10"]
    assert sum(p.numel() for p in model.parameters()) == workload.num_params
    assert counter.get_total_flops() == 2 * workload.flops_per_sample


def test_counting_layers_agrees_with_torch() -> None:
    from torch import nn, randn
    from torch.utils.flop_counter import FlopCounterMode

    model = nn.Sequential(
        nn.Conv2d(3, 64, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(64, 128, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(128, 64, 3), nn.Flatten(), nn.Linear(256, 256), nn.Linear(256, 10),
    )  # fmt: skip
    with FlopCounterMode(display=False) as counter:
        model(randn(2, 3, 28, 28)).sum().backward()
    easgd = WORKLOADS["easgd-cifar10"]
    assert sum(p.numel() for p in model.parameters()) == easgd.num_params
    assert counter.get_total_flops() == 2 * easgd.flops_per_sample


# -- what a gradient takes

NET = Workload("net", num_params=10, flops_per_sample=1e9)


def machine(*measured: tuple[int, float], of: str = "net") -> Platform:
    link = Link(0.0, 1.0)
    rows = tuple(Measured(of, batch_size, seconds) for batch_size, seconds in measured)
    return Platform("m", "M", "", 1, link, link, overhead_s=0.5, flops_per_s=1e10, measured=rows)


def test_without_measurements_operations_count() -> None:
    assert machine().gradient_s(NET, 20) == pytest.approx(0.5 + 20 * 0.1)


def test_measurements_of_another_workload_do_not_count() -> None:
    assert machine((1, 9.0), (2, 9.0), of="other").gradient_s(NET, 20) == machine().gradient_s(NET, 20)


def test_one_measurement_is_scaled_above_the_overhead() -> None:
    assert machine((8, 2.1)).gradient_s(NET, 8) == pytest.approx(2.1)
    assert machine((8, 2.1)).gradient_s(NET, 24) == pytest.approx(0.5 + 3 * 1.6)


def test_two_measurements_are_a_line() -> None:
    platform = machine((8, 1.0), (32, 2.2))
    assert platform.gradient_s(NET, 8) == pytest.approx(1.0)
    assert platform.gradient_s(NET, 64) == pytest.approx(0.6 + 0.05 * 64)


def test_more_measurements_are_a_least_squares_line() -> None:
    # residuals +0.1, -0.2, +0.1 about 1 + b, which are orthogonal to 1 and b
    platform = machine((1, 2.1), (2, 2.8), (3, 4.1))
    assert platform.gradient_s(NET, 10) == pytest.approx(11.0)


def test_a_line_does_not_begin_below_zero() -> None:
    platform = machine((1, 0.5), (3, 3.0))
    assert platform.gradient_s(NET, 10) == pytest.approx(10 * (0.5 + 9.0) / 10)


def test_a_line_does_not_fall() -> None:
    assert machine((1, 3.0), (3, 1.0)).gradient_s(NET, 100) == pytest.approx(2.0)


def test_a_relative_fit_weighs_every_point_alike() -> None:
    # 2 points a factor apart in t and on no common line through 0: the small one counts as much as the large one
    start, slope = fit_line([(0, 1.0), (10, 1100.0), (10, 900.0)], relative=True)
    assert start == pytest.approx(1.0)
    assert slope == pytest.approx((1100 / 1100**2 + 900 / 900**2) / (1100**-2 + 900**-2) / 10 - 0.1)


# -- files


def test_a_file_says_what_it_holds(tmp_path: Path) -> None:
    platform = load(write(tmp_path, GOOD))
    assert platform == Platform(
        name="machine",
        title="A machine",
        sha256=hashlib.sha256(GOOD.encode()).hexdigest(),
        workers_per_node=4,
        between=Link(1e-6, 1e9),
        within=Link(0.0, 4e9),
        overhead_s=1e-3,
        flops_per_s=1e12,
        measured=(Measured("digits", 8, 0.01),),
    )


def test_the_digest_changes_with_the_content(tmp_path: Path) -> None:
    before = load(write(tmp_path, GOOD))
    after = load(write(tmp_path, GOOD + "# a remark\n"))
    assert before.sha256 != after.sha256
    assert before.between == after.between


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UserError) as error:
        load("piz-dain")
    assert "unknown platform 'piz-dain'" in str(error.value)
    for name in names():
        assert name in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.toml cannot be read: No such file"):
        load(str(tmp_path / "nowhere.toml"))


def changed(old: str, new: str) -> Callable[[], str]:
    def change() -> str:
        assert old in GOOD
        return GOOD.replace(old, new)

    return change


ROW = '[[compute.measured]]\nworkload = "digits"\nbatch_size = 8\nseconds = 0.01\nevidence = "text"\nsource = "s"\n'
BAD: dict[str, tuple[Callable[[], str], str]] = {
    "not TOML": (lambda: "title = ", "is not TOML"),
    "not text": (lambda: "title = 'a'\n\x00", "is not TOML"),
    "no title": (changed('title = "A machine"', ""), "title is missing"),
    "a title of two lines": (changed('"A machine"', '"A\\nmachine"'), "title must be a text"),
    "an empty title": (changed('"A machine"', '""'), "title must be a text"),
    "no node": (changed("[node]", "[nodes]"), "node.workers is missing"),
    "half a worker": (changed("value = 4,", "value = 4.5,"), "node.workers.value must be a whole number, not 4.5"),
    "no network": (changed("[network.within]", "[network.inside]"), "network.within.latency_s is missing"),
    "a bare number": (
        changed('{ value = 1e9, evidence = "figure", source = "s" }', "1e9"),
        "network.between.bytes_per_s must be { value",
    ),
    "a negative latency": (
        changed("value = 1e-6", "value = -1e-6"),
        "network.between.latency_s.value must be 0 or more",
    ),
    "no bandwidth": (changed("value = 1e9", "value = 0"), "network.between.bytes_per_s.value must be above 0, not 0"),
    "an endless bandwidth": (
        changed("value = 1e9", "value = inf"),
        "network.between.bytes_per_s.value must be above 0",
    ),
    "a bandwidth of no machine": (
        changed("value = 1e9", "value = 1e31"),
        "bytes_per_s.value must be from 1e-30 to 1e+30",
    ),
    "a bandwidth of next to nothing": (
        changed("value = 1e9", "value = 5e-324"),
        "bytes_per_s.value must be from 1e-30 to 1e+30",
    ),
    "a figure in words": (changed("value = 1e9", 'value = "fast"'), "bytes_per_s.value must be a number, not 'fast'"),
    "a truth for a figure": (changed("value = 1e9", "value = true"), "bytes_per_s.value must be a number, not True"),
    "no source": (changed('evidence = "vendor", source = "s"', 'evidence = "vendor"'), "latency_s.source is missing"),
    "an empty source": (changed('"vendor", source = "s"', '"vendor", source = ""'), "latency_s.source must be a text"),
    "an unknown grade": (changed('"vendor"', '"hearsay"'), "latency_s.evidence is 'hearsay'; known: table, text"),
    "no compute": (lambda: GOOD.partition("[compute]")[0], "compute.overhead_s is missing"),
    "measurements that are no list": (
        lambda: GOOD.partition("[[compute.measured]]")[0] + "[compute.measured]\nseconds = 1\n",
        "compute.measured must be [[compute.measured]]",
    ),
    "a measurement of nothing": (changed('workload = "digits"', ""), "compute measured 1.workload is missing"),
    "a batch of none": (changed("batch_size = 8", "batch_size = 0"), "compute measured 1.batch_size must be above 0"),
    "no time": (changed("seconds = 0.01", "seconds = 0.0"), "compute measured 1.seconds must be above 0"),
    "the same batch twice": (lambda: GOOD + ROW, "compute.measured has digits twice at one batch size"),
    "one gradient quicker than any": (
        changed("seconds = 0.01", "seconds = 0.0001"),
        "compute.measured has digits in less than compute.overhead_s",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_gives_one_clear_line(tmp_path: Path, what: str) -> None:
    content, words = BAD[what]
    path = write(tmp_path, content())
    with pytest.raises(UserError) as error:
        load(path)
    assert str(error.value).startswith(f"platform file {path}")
    assert words in str(error.value)
    assert "\n" not in str(error.value)
