"""A Slurm cluster of several nodes on this machine, in a folder of its own, for tests.

It needs Debian's `slurm-wlm` and `munge` and the rights of root. Nothing outside its folder is changed.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ["munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "srun"]


def lack():
    """Why there can be no cluster here; nothing where there can."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=search_path()) is None]
    if missing:
        return f"{', '.join(missing)} not found: install slurm-wlm and munge"
    if os.geteuid() != 0:
        return "a cluster of several nodes on one machine needs the rights of root"
    return None


def search_path():
    return os.environ["PATH"] + ":/usr/sbin:/sbin"


class Slurm:
    """`nodes` nodes of `cpus` cores each, whatever this machine has."""

    def __init__(self, folder, nodes=3, cpus=2):
        self.folder = Path(folder)
        self.nodes = [f"n{number}" for number in range(1, nodes + 1)]
        self.host = socket.gethostname().split(".")[0]
        self.processes = {}
        base = 20000 + os.getpid() % 20000
        for name in ["state", "spool", "log", "run"]:
            (self.folder / name).mkdir(parents=True)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        socket_path = self.folder / "run/munge.socket"
        self.munge = [
            "munged", "--foreground", "--force", f"--socket={socket_path}", f"--key-file={key}",
            f"--pid-file={self.folder}/run/munged.pid", f"--log-file={self.folder}/log/munged.log",
            f"--seed-file={self.folder}/run/munged.seed",
        ]  # fmt: skip
        lines = [
            "ClusterName=test",
            f"SlurmctldHost={self.host}",
            f"SlurmctldPort={base}",
            "AuthType=auth/munge",
            f"AuthInfo=socket={socket_path}",
            "SlurmUser=root",
            "SlurmdUser=root",
            f"StateSaveLocation={self.folder}/state",
            f"SlurmdSpoolDir={self.folder}/spool/%n",
            f"SlurmctldPidFile={self.folder}/run/slurmctld.pid",
            f"SlurmdPidFile={self.folder}/run/%n.pid",
            f"SlurmctldLogFile={self.folder}/log/slurmctld.log",
            f"SlurmdLogFile={self.folder}/log/%n.log",
            "ProctrackType=proctrack/linuxproc",
            "TaskPlugin=task/none",
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_Core",
            "ReturnToService=2",
            "SlurmdParameters=config_overrides",
            "SlurmdTimeout=30",
            "KillWait=5",
            "MpiDefault=none",
            "SwitchType=switch/none",
            "SchedulerParameters=bf_interval=1,sched_interval=2,requeue_delay=1",
        ]
        for number, node in enumerate(self.nodes, 1):
            lines.append(
                f"NodeName={node} NodeHostname={self.host} NodeAddr=127.0.0.1 Port={base + number} CPUs={cpus} RealMemory=4000"
            )
        lines.append(f"PartitionName=all Nodes={','.join(self.nodes)} Default=YES MaxTime=INFINITE State=UP")
        self.conf = self.folder / "slurm.conf"
        self.conf.write_text("\n".join(lines) + "\n")
        self.environment = os.environ | {"SLURM_CONF": str(self.conf), "PATH": search_path()}

    def __enter__(self):
        try:
            self.start("munged")
            self.wait(lambda: (self.folder / "run/munge.socket").exists(), "munged")
            self.start("slurmctld")
            for node in self.nodes:
                self.start(node)
            self.wait(lambda: self.output("sinfo", "-h", "-o", "%T").strip() == "idle", "nodes")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run(["scancel", "--user=root", "--quiet"], env=self.environment, check=False, capture_output=True)
        time.sleep(0.5)
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, name):
        """Starts a daemon: munged, slurmctld, or a node's slurmd by the node's name."""
        commands = {"munged": self.munge, "slurmctld": ["slurmctld", "-D"]}
        command = commands.get(name, ["slurmd", "-D", "-N", name])
        log = open(self.folder / "log" / f"{name}.out", "ab")
        self.processes[name] = subprocess.Popen(
            command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )

    def kill(self, name):
        """Ends a daemon as a crash would."""
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def output(self, *command):
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"{command}: {done.stderr.strip()}")
        return done.stdout

    def wait(self, is_there, what, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if is_there():
                    return
            except RuntimeError:
                pass  # a controller that starts again does not answer yet
            time.sleep(0.1)
        raise RuntimeError(f"{what}: not there after {seconds} s; logs are in {self.folder}/log")
