"""Asks the stock python-tuf client for the state of repositories and for targets in them, and prints the answers
as JSON. Questions and answers are those of ../readers.ts."""

import json
import sys
from pathlib import Path
from typing import Any

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.api.metadata import Metadata
from tuf.ngclient import Updater


def target(updater: Updater, path: str) -> dict[str, Any] | None:
    info = updater.get_targetinfo(path)
    return None if info is None else {"length": info.length, "sha256": info.hashes.get("sha256")}


def read(question: dict[str, Any]) -> dict[str, Any]:
    folder = Path(question["dir"])
    # A folder from before is gone on with; python-tuf would start over from a bootstrap root.
    known = (folder / "root.json").exists()
    updater = Updater(
        metadata_dir=str(folder),
        metadata_base_url=question["metadataUrl"],
        target_dir=str(folder),
        target_base_url=question["targetsUrl"],
        bootstrap=None if known else Path(question["root"]).read_bytes(),
    )
    updater.refresh()
    # The client keeps what it trusts in its folder, unversioned.
    versions = {
        role: Metadata.from_file(str(folder / f"{role}.json")).signed.version
        for role in ("root", "timestamp", "snapshot")
    }
    return {"ok": True, **versions, "targets": {path: target(updater, path) for path in question["targets"]}}


def answer_to(question: dict[str, Any]) -> dict[str, Any]:
    try:
        return read(question)
    except (RepositoryError, DownloadError, OSError, ValueError) as error:
        return {"ok": False, "error": f"{type(error).__name__}: {error}"}


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(answer_to(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
