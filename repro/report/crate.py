"""The bundle's description of itself: an RO-Crate (https://w3id.org/ro/crate/1.1), as JSON-LD."""

import json
import mimetypes
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

METADATA = "ro-crate-metadata.json"
CONTEXT = "https://w3id.org/ro/crate/1.1/context"
PROFILE = "https://w3id.org/ro/crate/1.1"
TYPES = {".md": "text/markdown", ".cff": "application/yaml", ".toml": "application/toml"}
"""Where Python's own table has nothing, or differs between machines."""


@dataclass(frozen=True)
class Made:
    """What made a folder of the bundle: one run or study.

    Args:
        folder: its path in the bundle, without a slash at the end.
        name: what was run, in words.
        started: ISO 8601.
        environment: software and machine, in words.
    """

    folder: str
    name: str
    started: str
    environment: Mapping[str, str]


def metadata(
    paths: Iterable[str], made: Iterable[Made], *, name: str, description: str, published: str, licence: str
) -> str:
    """Return the text of ro-crate-metadata.json.

    Every file is an entity of type File, in the Dataset of its folder where that was made by one run, else in the
    root; every run is a CreateAction whose result is its folder.

    Args:
        paths: of the files, relative to the bundle's root, the metadata file itself apart.
        published: day of the newest record, ISO 8601.
        licence: a URL.
    """
    made = list(made)
    files = sorted(paths)
    inside = {one.folder: [path for path in files if path.startswith(f"{one.folder}/")] for one in made}
    placed = {path for members in inside.values() for path in members}
    graph: list[dict[str, Any]] = [
        {
            "@id": METADATA,
            "@type": "CreativeWork",
            "conformsTo": {"@id": PROFILE},
            "about": {"@id": "./"},
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": name,
            "description": description,
            "datePublished": published,
            "license": {"@id": licence},
            "hasPart": [
                *({"@id": path} for path in files if path not in placed),
                *({"@id": f"{one.folder}/"} for one in made),
            ],
            "mentions": [{"@id": _action(one)} for one in made],
        },
        {"@id": licence, "@type": "CreativeWork", "name": licence.rpartition("/")[2]},
    ]
    for one in made:
        parts = [{"@id": path} for path in inside[one.folder]]
        graph.append({"@id": f"{one.folder}/", "@type": "Dataset", "name": one.name, "hasPart": parts})
        graph.append(
            {
                "@id": _action(one),
                "@type": "CreateAction",
                "name": one.name,
                "startTime": one.started,
                "result": {"@id": f"{one.folder}/"},
                "description": "; ".join(f"{key}: {value}" for key, value in one.environment.items()),
            }
        )
    graph += [{"@id": path, "@type": "File", "name": path, "encodingFormat": _format(path)} for path in files]
    return json.dumps({"@context": CONTEXT, "@graph": graph}, indent=1, ensure_ascii=False) + "\n"


def _action(made: Made) -> str:
    return f"#{made.folder.rpartition('/')[2]}"


def _format(path: str) -> str:
    suffix = path[path.rfind(".") :] if "." in path else ""
    return TYPES.get(suffix) or mimetypes.guess_type(path)[0] or "text/plain"
