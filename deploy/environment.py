"""Creates a virtual environment from a lock file and shows how far it is: `python environment.py .venv LOCK`.

Runs with the system's Python, before anything is installed. A terminal shows one line that counts up; a pipe,
such as the log of CI, gets a line now and then.
"""

import re
import subprocess
import sys
import threading
import time
from pathlib import Path

REQUIREMENT = re.compile(r"^[A-Za-z0-9._-]+(\[.*\])?==", re.MULTILINE)
ON_A_TERMINAL_SECONDS, IN_A_PIPE_SECONDS = 0.5, 10.0


def main(folder: str, lock: str) -> int:
    """Returns the exit code of the program that failed, or 0."""
    print(f"Setting up {folder}, once; this takes one to four minutes", flush=True)  # noqa: T201
    if code := subprocess.call([sys.executable, "-m", "venv", "--clear", folder]):
        return code
    total = len(REQUIREMENT.findall(Path(lock).read_text(encoding="utf-8")))
    python = str(Path(folder) / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check"]
    locked = [*pip, "--progress-bar", "off", "--require-hashes", "--requirement", lock]
    code = Installation(total).run(locked)
    return code or subprocess.call([*pip, "-qq", "--no-deps", "--no-build-isolation", "--editable", "."])


class Installation:
    """pip at work. What it says is only shown if it fails."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.step = "Starting pip"
        self.began = time.monotonic()
        self.ended = threading.Event()

    def run(self, command: list[str]) -> int:
        """Runs pip to its end; returns its exit code."""
        said: list[str] = []
        shows = threading.Thread(target=self._show, daemon=True)
        shows.start()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
            for line in pip.stdout or ():
                said.append(line)
                self._read(line, said)
        self.ended.set()
        shows.join()
        if pip.returncode:
            sys.stderr.writelines(said)
        return pip.returncode

    def _read(self, line: str, said: list[str]) -> None:
        if line.startswith("Collecting "):
            number = sum(earlier.startswith("Collecting ") for earlier in said)
            name = line.split()[1].partition("==")[0]
            self.step = f"Fetching package {number} of about {self.total}: {name}"
        elif line.startswith("Installing collected packages"):
            self.step = "Installing the packages"

    def _show(self) -> None:
        terminal = sys.stdout.isatty()
        while not self.ended.wait(ON_A_TERMINAL_SECONDS if terminal else IN_A_PIPE_SECONDS):
            line = f"{self.step} ({time.monotonic() - self.began:.0f} s)"
            sys.stdout.write(f"\r\033[K{line}" if terminal else f"{line}\n")
            sys.stdout.flush()
        if terminal:
            sys.stdout.write("\r\033[K")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
