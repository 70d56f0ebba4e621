"""The embedded server starts for the first user, stops after the last, and survives kills."""

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest

from ops_pipeline import settings
from ops_pipeline.cli import embedded_option
from ops_pipeline.postgres import embedded

USER = """
import sys, time
from pathlib import Path
from ops_pipeline import settings
from ops_pipeline.cli import embedded_option
from ops_pipeline.postgres import embedded
with embedded.running(Path(sys.argv[1])) as server:
    print(server.url("app"), flush=True)
    time.sleep(60)
"""


def test_its_data_is_kept_between_runs(tmp_path: Path) -> None:
    with embedded.running(tmp_path) as server, psycopg.connect(server.url("app")) as session:
        session.execute("CREATE TABLE kept AS SELECT 42 AS answer")

    with embedded.running(tmp_path) as server, psycopg.connect(server.url("app")) as session:
        assert session.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_it_stops_when_its_last_user_leaves(tmp_path: Path) -> None:
    with embedded.running(tmp_path):
        with embedded.running(tmp_path) as joined:
            url = joined.url("app")
        psycopg.connect(url).close()
        pid = _pid(tmp_path)

    assert not Path(f"/proc/{pid}").exists() or _is_zombie(pid)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_many_users_at_once_share_one_server(tmp_path: Path) -> None:
    pids: set[int] = set()
    together = threading.Barrier(4)

    def use() -> None:
        with embedded.running(tmp_path):
            pids.add(_pid(tmp_path))
            together.wait(timeout=60)

    users = [threading.Thread(target=use) for _ in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()

    assert len(pids) == 1


def test_a_killed_server_is_recovered_with_its_data(tmp_path: Path) -> None:
    with embedded.running(tmp_path) as server:
        with psycopg.connect(server.url("app")) as session:
            session.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        os.kill(_pid(tmp_path), signal.SIGKILL)

    assert (tmp_path / "data" / "postmaster.pid").exists(), "the lock file is stale"
    with embedded.running(tmp_path) as server, psycopg.connect(server.url("app")) as session:
        assert session.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_a_lock_file_with_the_pid_of_another_process_is_ignored(tmp_path: Path) -> None:
    with embedded.running(tmp_path):
        lines = (tmp_path / "data" / "postmaster.pid").read_text().splitlines()
    lines[0] = str(os.getpid())
    (tmp_path / "data" / "postmaster.pid").write_text("\n".join(lines))

    with embedded.running(tmp_path) as server:
        psycopg.connect(server.url("app")).close()


def test_a_server_whose_users_were_killed_is_taken_over_and_stopped(tmp_path: Path) -> None:
    user = subprocess.Popen([sys.executable, "-c", USER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert user.stdout is not None
    url = user.stdout.readline().strip()
    user.kill()
    user.wait()
    user.stdout.close()
    psycopg.connect(url).close()  # it still runs, without users

    with embedded.running(tmp_path) as server:
        assert server.url("app") == url

    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_an_incomplete_data_directory_is_moved_aside(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "half").touch()

    with embedded.running(tmp_path) as server:
        psycopg.connect(server.url("app")).close()
    assert len(list(tmp_path.glob("unfinished-*/half"))) == 1


def test_no_other_user_of_the_machine_can_connect(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    before = stat.S_IMODE(tmp_path.stat().st_mode)

    with embedded.running(folder) as server:
        without_password = f"postgresql://postgres@127.0.0.1:{server.port}/app"
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(without_password)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE(tmp_path.stat().st_mode) == before, "no folder above was opened up"


def test_a_port_in_use_makes_it_choose_another(tmp_path: Path) -> None:
    with embedded.running(tmp_path) as server:
        port = server.port
    (tmp_path / "port").write_text(str(port))
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        with embedded.running(tmp_path) as server:
            assert server.port != port


def _pid(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_command_that_reads_does_not_create_the_archive_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("OPS_DATABASE_URL", "OPS_DAGSTER_DATABASE_URL", "OPS_ARCHIVE_URL"):
        monkeypatch.delenv(name, raising=False)
    archive = tmp_path / ".local" / "archive"

    with embedded.started(settings.load()) as started:
        assert started.archive_url == str(archive)
        assert not archive.exists()
        monkeypatch.setenv("OPS_DATABASE_URL", started.database_url or "")
        assert embedded_option.with_option("opsctl approve a1") == "opsctl --embedded approve a1"
        assert embedded_option.with_option("opsctl demo") == "opsctl demo"
        monkeypatch.setenv("OPS_DATABASE_URL", "postgresql://app@db.example/app")
        assert embedded_option.with_option("opsctl approve a1") == "opsctl approve a1"
        monkeypatch.delenv("OPS_DATABASE_URL")
        with embedded.resolved(settings.load(), or_embedded=True):
            assert archive.is_dir()
