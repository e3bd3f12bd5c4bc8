"""Figures as SVG, in a fifth of the bytes: fit for a page that holds hundreds of them."""

import re
from dataclasses import dataclass
from xml.etree import ElementTree

SPACE = "{http://www.w3.org/2000/svg}"
GROUP = f"{SPACE}g"
HREF = "{http://www.w3.org/1999/xlink}href"
GLYPHS = "DejaVuSans-"
"""How matplotlib's ids of glyphs start; short ones are a tenth of a figure."""


@dataclass(frozen=True)
class Svg:
    """A figure taken apart: equal ids mean equal definitions, so a page needs each once.

    Args:
        view_box: as the attribute has it.
        definitions: glyphs, markers, hatches and clips as markup, by id.
        body: what is drawn, as markup.
    """

    view_box: str
    definitions: dict[str, str]
    body: str


def compact(text: str) -> str:
    """Return a figure as matplotlib wrote it, with coordinates to a hundredth of a point and one <defs> at the top."""
    root = ElementTree.fromstring(text)
    for found in root.findall(f"{SPACE}metadata"):
        root.remove(found)
    definitions: dict[str, ElementTree.Element] = {}
    _gather(root, definitions)
    for element in [*root.iter(), *(part for kept in definitions.values() for part in kept.iter())]:
        _shorten(element)
    for group in root.iter("g"):
        _share_style(group)
    view_box = root.attrib["viewBox"]
    width, height = (root.attrib[name] for name in ("width", "height"))
    body = "".join(map(_markup, root))
    kept = "".join(_markup(element) for element in definitions.values())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="{view_box}">\n'
        f"<defs>{kept}</defs>\n{body}\n</svg>\n"
    )


def take_apart(text: str) -> Svg:
    """Return the parts of a figure that `compact` made."""
    head, defs, body, _ = text.split("\n", 3)
    view_box = re.search(r'viewBox="([^"]*)"', head)
    assert view_box, "written by compact"
    parts = re.split(r'(?=<(?:path|clipPath|pattern|g|image)[^>]* data-def="")', defs[len("<defs>") : -len("</defs>")])
    definitions = {}
    for part in parts:
        if name := re.search(r' id="([^"]*)"', part):
            definitions[name[1]] = part.replace(' data-def=""', "", 1)
    return Svg(view_box[1], definitions, body)


def _gather(element: ElementTree.Element, definitions: dict[str, ElementTree.Element]) -> None:
    """Move what stands in <defs> to `definitions`; drop other ids, which nothing refers to."""
    for child in list(element):
        if child.tag == f"{SPACE}defs":
            element.remove(child)
            for kept in child:
                if kept.tag != f"{SPACE}style":  # round joins, which are the root's below
                    definitions.setdefault(kept.attrib["id"], kept)
                    kept.set("data-def", "")
        else:
            child.attrib.pop("id", None)
            _gather(child, definitions)
    parts = [list(child) if child.tag == GROUP and not child.attrib else [child] for child in element]
    element[:] = [part for several in parts for part in several]


def _shorten(element: ElementTree.Element) -> None:
    element.tag = element.tag.removeprefix(SPACE)
    element.text = element.tail = None
    attributes = element.attrib
    if HREF in attributes:
        attributes["href"] = attributes.pop(HREF).replace(GLYPHS, "D")
    if "id" in attributes:
        attributes["id"] = attributes["id"].replace(GLYPHS, "D")
    if "style" in attributes:
        attributes["style"] = attributes["style"].replace(": ", ":").replace("; ", ";")
    if "d" in attributes:
        attributes["d"] = re.sub(r"\s*([A-Za-z]|$)\s*", r"\1", _rounded(attributes["d"]))
    for name in ("x", "y", "width", "height"):
        if name in attributes:
            attributes[name] = _rounded(attributes[name])
    if "transform" in attributes:
        moved = re.fullmatch(r"translate\(([-.\d]+) ([-.\d]+)\)", attributes["transform"])
        if moved and element.tag == "use":
            del attributes["transform"]
            attributes |= {"x": _rounded(moved[1]), "y": _rounded(moved[2])}
        else:
            attributes["transform"] = re.sub(
                r"translate\([^)]*\)", lambda found: _rounded(found[0]), attributes["transform"]
            )
    for name in ("x", "y"):
        if attributes.get(name) == "0" and element.tag == "use":
            del attributes[name]


def _share_style(group: ElementTree.Element) -> None:
    """Move what all markers of a line have in common to the group they are in."""
    styles = {element.attrib.get("style") if element.tag == "use" else None for element in group}
    if len(group) > 1 and len(styles) == 1 and (style := styles.pop()) and "style" not in group.attrib:
        group.set("style", style)
        for element in group:
            del element.attrib["style"]


def _rounded(numbers: str) -> str:
    return re.sub(r"(-?\d+\.\d\d)\d+", lambda found: found[1].rstrip("0").rstrip("."), numbers)


def _markup(element: ElementTree.Element) -> str:
    return ElementTree.tostring(element, encoding="unicode").replace(" />", "/>")
