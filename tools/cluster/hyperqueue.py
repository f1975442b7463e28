"""HyperQueue as its Python package has it, for tests: a server with workers, and the one command of `hq` that is needed.

    hyperqueue.py serve FOLDER WORKERS    a server and its workers until it is ended; writes FOLDER/ready
    hyperqueue.py job submit-file FILE    as `hq` does: submits a job file, and prints the job's id as JSON

The folder of the server is HQ_SERVER_DIR, as for `hq`.
"""

import json
import os
import sys
import time
import tomllib
from pathlib import Path

# This file has the package's name.
sys.path = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).resolve().parent]
from hyperqueue import Client, Job, LocalCluster  # noqa: E402
from hyperqueue.cluster import WorkerConfig  # noqa: E402
from hyperqueue.ffi.protocol import ResourceRequest  # noqa: E402


def serve(folder, workers):
    cluster = LocalCluster(folder)
    for _ in range(workers):
        cluster.start_worker(WorkerConfig(cores=2))
    Path(folder, "ready").write_text("")
    while True:
        time.sleep(1)


def submit(file):
    table = tomllib.loads(Path(file).read_text())
    job = Job(name=table["name"], max_fails=None)
    tasks = {}
    for task in table["task"]:
        resources = dict(task["request"][0]["resources"])
        tasks[task["id"]] = job.program(
            task["command"],
            env=task.get("env"),
            cwd=task["cwd"],
            stdout=task["stdout"],
            stderr=task["stderr"],
            deps=[tasks[id] for id in task.get("deps", [])],
            resources=ResourceRequest(cpus=resources.pop("cpus"), resources=resources),
        )
    submitted = Client(os.environ["HQ_SERVER_DIR"]).submit(job)
    print(json.dumps({"id": submitted.id}))


if sys.argv[1] == "serve":
    serve(sys.argv[2], int(sys.argv[3]))
elif sys.argv[1:3] == ["job", "submit-file"]:
    submit(sys.argv[3])
else:
    sys.exit(f"{sys.argv[1:]}: only `job submit-file FILE` is known; the Python package has no more of `hq`")
