"""Writes the workspace of `opsctl up`: our code server, and those that the folder's workspace.yaml adds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ops_pipeline.settings import SettingsError

ADDED = Path("workspace.yaml")
"""In the working folder; its `grpc_server` locations are loaded as well."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """The file that the Dagster UI and the daemon load, and the socket of our code server."""

    MODULE: ClassVar[str] = "ops_pipeline.definitions"
    file: Path
    socket: Path


@contextmanager
def written(location: str) -> Iterator[Workspace]:
    """The workspace, in a folder that only this user can enter, until the context ends. `location`: the name
    of our code location.

    Raises SettingsError when workspace.yaml is invalid.
    """
    # Not under .local: the path of a socket has at most 107 bytes.
    with TemporaryDirectory(prefix="ops-up-") as folder:
        made = Workspace(Path(folder) / "workspace.yaml", Path(folder) / "code.sock")
        ours = {"socket": str(made.socket), "location_name": location}
        YAML(typ="safe").dump({"load_from": [{"grpc_server": ours}, *_added()]}, made.file)
        yield made


def _added() -> list[dict[str, Any]]:
    if not ADDED.is_file():
        return []
    try:
        locations = YAML(typ="safe").load(ADDED)["load_from"]
        return [location for location in locations if "grpc_server" in location]
    except (YAMLError, TypeError, KeyError) as error:
        raise SettingsError(f"{ADDED}: a list of locations is required under load_from ({error})") from None
