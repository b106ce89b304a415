"""Asks the stock python-tuf client for the state of a repository and for targets in it, and prints the answer
as JSON. The command line and the answer are those of ../readers.ts."""

import argparse
import json
from pathlib import Path
from typing import Any

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.api.metadata import Metadata
from tuf.ngclient import Updater


def target(updater: Updater, path: str) -> dict[str, Any] | None:
    info = updater.get_targetinfo(path)
    return None if info is None else {"length": info.length, "sha256": info.hashes.get("sha256")}


def read(question: argparse.Namespace) -> dict[str, Any]:
    updater = Updater(
        metadata_dir=question.dir,
        metadata_base_url=question.metadata_url,
        target_dir=question.dir,
        target_base_url=question.targets_url,
        bootstrap=Path(question.root).read_bytes(),
    )
    updater.refresh()
    # The client keeps what it trusts in its folder, unversioned.
    versions = {
        role: Metadata.from_file(str(Path(question.dir) / f"{role}.json")).signed.version
        for role in ("root", "timestamp", "snapshot")
    }
    return {"ok": True, **versions, "targets": {path: target(updater, path) for path in question.target}}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--metadata-url", required=True)
    parser.add_argument("--targets-url", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--dir", required=True)
    parser.add_argument("--target", action="append", default=[])
    question = parser.parse_args()
    try:
        answer = read(question)
    except (RepositoryError, DownloadError, OSError, ValueError) as error:
        answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
