"""A standalone Spark cluster on loopback: one master and some workers, each a process of its own as on many machines.

For trying `engine: spark` without a cluster, for tests and for benchmarks:

    python -m ecom_pipeline.spark.cluster --workers 2
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

LOOPBACK = "127.0.0.1"
START_SECONDS = 300.0
STOP_SECONDS = 10.0
CLASSES = "org.apache.spark.deploy"


class ClusterError(RuntimeError):
    """The cluster did not come up; the message holds what its process said."""


class LocalCluster:
    """A running master and its workers."""

    def __init__(self, folder: Path, *, port: int, page: int) -> None:
        self.url = f"spark://{LOOPBACK}:{port}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self._killed: list[subprocess.Popen[bytes]] = []
        self._folder = folder
        self._port = port
        self._page = page
        self._master: subprocess.Popen[bytes] | None = None

    def start_master(self) -> None:
        """Start the master."""
        arguments = ["--host", LOOPBACK, "--port", str(self._port), "--webui-port", str(self._page)]
        self._master = self._start("master", f"{CLASSES}.master.Master", arguments)

    def add_worker(self, *, cores: int, memory: str) -> subprocess.Popen[bytes]:
        """Start a worker with so many cores and so much memory (such as 2g) for executors."""
        name = f"worker-{len(self.workers) + 1}"
        work = self._folder / name
        arguments = ["--host", LOOPBACK, "--cores", str(cores), "--memory", memory, "--work-dir", str(work)]
        worker = self._start(name, f"{CLASSES}.worker.Worker", [*arguments, "--webui-port", "0", self.url])
        self.workers.append(worker)
        return worker

    def kill_worker(self, number: int) -> None:
        """Kill a worker and its executors at once, as a power cut would."""
        worker = self.workers[number]
        self._killed.append(worker)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()

    def alive_workers(self) -> int:
        """Workers that the master knows to be alive; 0 while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self._page}/json/", timeout=5) as answer:
                return int(json.load(answer)["aliveworkers"])
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return 0

    def wait_for_workers(self, count: int) -> None:
        """Wait until so many workers have registered.

        Raises:
            ClusterError: if a process ended, or if it takes more than five minutes.
        """
        until = time.monotonic() + START_SECONDS
        while self.alive_workers() < count:
            running = [process for process in self.workers if process not in self._killed]
            ended = [process for process in (self._master, *running) if process and process.poll() is not None]
            if ended or time.monotonic() > until:
                raise ClusterError(f"the cluster did not come up: {self._last_words()}")
            time.sleep(0.2)

    def stop(self) -> None:
        """End all processes."""
        processes = [process for process in (*self.workers, self._master) if process is not None]
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name: str, main: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        import pyspark

        command = [str(Path(pyspark.__file__).parent / "bin" / "spark-class"), main, *arguments]
        environment = {
            **os.environ,
            "SPARK_LOCAL_IP": LOOPBACK,
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_NO_DAEMONIZE": "1",
        }
        with (self._folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(  # noqa: S603  # Spark's own starter
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own, which a worker's executors belong to
            )

    def _last_words(self) -> str:
        return " | ".join(
            f"{log.stem}: {' '.join(log.read_text(encoding='utf-8', errors='replace').splitlines()[-3:])}"
            for log in sorted(self._folder.glob("*.log"))
        )


@contextmanager
def local_cluster(*, workers: int = 2, cores: int = 1, memory: str = "1g") -> Iterator[LocalCluster]:
    """A cluster on loopback for as long as the block lasts.

    Raises:
        ClusterError: if it does not come up.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="spark-cluster-")))
        cluster = LocalCluster(folder, port=_free_port(), page=_free_port())
        stack.callback(cluster.stop)
        cluster.start_master()
        for _ in range(workers):
            cluster.add_worker(cores=cores, memory=memory)
        cluster.wait_for_workers(workers)
        yield cluster


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Run a cluster until it is interrupted; its URL goes to the terminal."""
    parser = argparse.ArgumentParser(prog="python -m ecom_pipeline.spark.cluster", description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cores", type=int, default=1, help="of each worker")
    parser.add_argument("--memory", default="1g", help="of each worker's executors")
    given = parser.parse_args()

    def interrupted(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    try:
        with local_cluster(workers=given.workers, cores=given.cores, memory=given.memory) as cluster:
            print(f"{cluster.url}  {given.workers} workers; end it with Ctrl+C", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        print("ended")


if __name__ == "__main__":
    main()
