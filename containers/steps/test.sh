#!/usr/bin/env bash
# In the image: ranks see each other, Horovod's and MPI's sums are right, and runs of both worlds leave their records.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export PATH=/opt/reprosgd/.venv/bin:$PATH

repro doctor
repro run demo.digits-dpsgd --scale smoke --workers 2 --results mpi
repro run demo.digits-dpsgd --scale smoke --workers 2 --results simulated --world simulated
python - "${REPRO_IMAGE_COMMIT:?}" <<'END'
import json, sys
from pathlib import Path

records = [json.loads(file.read_text()) for file in Path().glob("*/runs/*/run.json")]
assert len(records) == 2, records
for record in records:
    made_by = record["provenance"]
    assert (made_by["git_commit"], made_by["git_dirty"]) == (sys.argv[1], False), made_by
first, second = (record["outcome"]["params_sha256"] for record in records)
assert first == second, "the two worlds differ"
END
