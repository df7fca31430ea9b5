"""Dagster's history of runs in a real PostgreSQL server instead of SQLite files."""

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from ecom_pipeline.operations.doctor import examine
from ecom_pipeline.orchestration.instance import INSTANCE_FILE, instance_of, run_databases
from ecom_pipeline.orchestration.running import run_night
from ecom_pipeline.privacy.erasure import forget_user
from ecom_pipeline.privacy.traces import word_of
from ecom_pipeline.settings import Home
from ecom_pipeline_tests.conftest import SMALL_SHOP

pytestmark = pytest.mark.postgres

REQUIRED = "ECOM_REQUIRE_POSTGRES"
ADDRESS = "ECOM_PIPELINE_RUNS_DATABASE"
PASSWORD = "not-to-be-told"  # noqa: S105 - of a server that lives for the time of the tests
STORAGE = f"storage:\n  postgres:\n    postgres_url:\n      env: {ADDRESS}\n"


def programs() -> Path | None:
    """Where initdb and pg_ctl lie."""
    named = shutil.which("initdb")
    folders = [Path(named).resolve().parent] if named else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "pg_ctl").exists()), None)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Callable[[], None]]]:
    """Address of a server that starts empty, and what stops it."""
    missing = [] if programs() else ["initdb and pg_ctl of PostgreSQL were not found"]
    if importlib.util.find_spec("dagster_postgres") is None:
        missing.append("the extra 'postgres' is not installed (make install-postgres)")
    if missing and os.environ.get(REQUIRED):
        pytest.fail("; ".join(missing))
    if missing:
        pytest.skip("; ".join(missing))
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    root = Path(tempfile.mkdtemp(prefix="postgres-"))  # a short path: its socket's name may have 107 characters
    if user:
        shutil.chown(root, user)
    password = root / "password"
    password.write_text(PASSWORD, encoding="utf-8")
    password.chmod(0o644)

    def run(program: str, *arguments: str) -> None:
        folder = programs()
        assert folder is not None
        command = [str(folder / program), "-D", str(root / "data"), *arguments]
        done = subprocess.run(
            command, user=user, cwd=root, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stderr + done.stdout

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run("initdb", "-U", "shop", "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync")
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={root} -c fsync=off"
    run("pg_ctl", "-w", "-l", str(root / "log"), "-o", options, "start")
    running = True

    def stop() -> None:
        nonlocal running
        if running:
            run("pg_ctl", "-w", "-m", "fast", "stop")
            running = False

    try:
        yield f"postgresql+psycopg2://shop:{PASSWORD}@127.0.0.1:{port}/postgres", stop
    finally:
        stop()
        shutil.rmtree(root)


def texts_of(url: str) -> str:
    """All that the database says."""
    from sqlalchemy import MetaData, create_engine, select

    engine = create_engine(url)
    known = MetaData()
    known.reflect(engine)
    with engine.connect() as connection:
        said = "\n".join(str(row) for table in known.sorted_tables for row in connection.execute(select(table)))
    engine.dispose()
    return said


def test_a_night_keeps_its_history_in_postgres_and_a_forgotten_person_is_not_in_it(
    copy_of_shop: Callable[[], Home],
    server: tuple[str, Callable[[], None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, stop = server
    home = copy_of_shop()
    monkeypatch.setenv(ADDRESS, url)
    assert run_databases(home) == ()
    with (home.dagster_home / INSTANCE_FILE).open("a", encoding="utf-8") as file:
        file.write(STORAGE)
    assert run_databases(home) == (url,)
    in_files = {path: path.read_bytes() for path in home.dagster_home.rglob("*.db")}

    night = run_night(home, SMALL_SHOP.last_day)
    assert night.succeeded, night.failures
    with instance_of(home) as instance:
        assert [run.status.value for run in instance.get_runs()] == ["SUCCESS"]
    assert {path: path.read_bytes() for path in home.dagster_home.rglob("*.db")} == in_files
    (found,) = [one for one in examine(home) if one.part == "dagster"]
    assert found.what.endswith("1 runs are known")

    with duckdb.connect(str(home.published_file), read_only=True) as connection:
        ((person,),) = connection.execute("SELECT max(user_id) FROM user_events").fetchall()
    with instance_of(home) as instance:
        (run,) = instance.get_runs()
        instance.add_run_tags(run.run_id, {"asked for by": f"user {person}"})
    assert word_of(person).search(texts_of(url).encode())
    receipt, _ = forget_user(home, person)
    assert receipt.places_in_history > 0
    assert any("PostgreSQL" in told for told in receipt.not_covered)
    assert not word_of(person).search(texts_of(url).encode())

    stop()
    (found,) = [one for one in examine(home) if one.part == "dagster"]
    assert found.level == "damaged"
    assert PASSWORD not in found.what
