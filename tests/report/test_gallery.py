"""What has not changed is not drawn again; what has is, and nothing old is left beside it."""

import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from repro.report.canvas import Drawing
from repro.report.gallery import draw_all
from repro.report.svg import compact, take_apart


def drawing(name: str = "line", *, y: float = 2.0, title: str = "A line", look: str = "blue") -> Drawing:
    data = pd.DataFrame({"x": [0.0, 1.0], "y": [1.0, y]})

    def draw(canvas: object) -> None:
        canvas.subplots().plot(data["x"], data["y"], "o-", color=look)  # type: ignore[attr-defined]

    return Drawing(name, title, data, draw, (3.0, 2.0), look)


def contents(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_unchanged_figure_is_not_drawn_again(tmp_path: Path) -> None:
    assert draw_all(tmp_path, [drawing()]) == 1
    first = contents(tmp_path)
    assert set(first) == {"drawn.json", "line.csv", "line.pdf", "line.png", "line.svg"}
    assert draw_all(tmp_path, [drawing()]) == 0
    assert contents(tmp_path) == first


@pytest.mark.parametrize("change", [{"y": 3.0}, {"title": "Another"}, {"look": "red"}])
def test_a_changed_figure_is_drawn_again(tmp_path: Path, change: dict[str, object]) -> None:
    draw_all(tmp_path, [drawing()])
    first = contents(tmp_path)
    assert draw_all(tmp_path, [drawing(**change)]) == 1  # type: ignore[arg-type]
    assert contents(tmp_path)["line.svg"] != first["line.svg"]
    assert draw_all(tmp_path, [drawing(**change)]) == 0  # type: ignore[arg-type]


def test_no_format_shows_what_the_data_no_longer_say(tmp_path: Path) -> None:
    draw_all(tmp_path, [drawing()])
    draw_all(tmp_path, [drawing(y=3.0)], ["svg"])
    assert not (tmp_path / "line.png").exists() and not (tmp_path / "line.pdf").exists()
    assert draw_all(tmp_path, [drawing(y=3.0)]) == 1  # the two that are missing
    assert (tmp_path / "line.png").exists() and (tmp_path / "line.pdf").exists()


def test_a_lost_file_is_drawn_again(tmp_path: Path) -> None:
    draw_all(tmp_path, [drawing()])
    (tmp_path / "line.png").unlink()
    assert draw_all(tmp_path, [drawing()]) == 1


def test_an_interrupted_figure_is_drawn_again(tmp_path: Path) -> None:
    def fail(canvas: object) -> None:
        raise KeyboardInterrupt

    draw_all(tmp_path, [drawing()])
    broken = drawing(y=3.0)
    with pytest.raises(KeyboardInterrupt):
        draw_all(tmp_path, [Drawing("line", "A line", broken.data, fail, broken.size, broken.look)])
    assert draw_all(tmp_path, [drawing()]) == 1


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_many_processes_draw_the_same_bytes_as_one(tmp_path: Path) -> None:
    many = [drawing(f"line-{number}", y=float(number)) for number in range(9)]
    assert draw_all(tmp_path / "many", many, ["svg"]) == 9
    for one in many:
        draw_all(tmp_path / "one", [one], ["svg"])
        name = f"{one.name}.svg"
        assert (tmp_path / "many" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_a_compact_svg_keeps_what_is_drawn() -> None:
    original = (
        '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        ' width="10pt" height="5pt" viewBox="0 0 10 5"><metadata>none</metadata><g id="figure_1">'
        '<defs><path id="DejaVuSans-41" d="M 0 0 \nL 1.23456 0 \nz\n"/></defs>'
        '<g id="text_1" transform="translate(1.23456 2) scale(0.085 -0.085)">'
        '<use xlink:href="#DejaVuSans-41"/><use xlink:href="#DejaVuSans-41" transform="translate(63.623047 0)"/></g>'
        "</g></svg>"
    )
    svg = take_apart(compact(original))
    assert svg.view_box == "0 0 10 5"
    assert svg.definitions == {"D41": '<path id="D41" d="M0 0L1.23 0z"/>'}
    assert svg.body == (
        '<g transform="translate(1.23 2) scale(0.085 -0.085)"><use href="#D41"/><use href="#D41" x="63.62"/></g>'
    )
