"""A SLURM cluster of one node with two pretended GPUs: real daemons, all state in one folder, on loopback only."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "scontrol", "squeue", "scancel", "srun", "sinfo")
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=1
GresTypes=gpu
MinJobAge=3600
KillWait=2
OverTimeLimit=0
ReturnToService=2
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory} Gres=gpu:fake:2 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing():
    """Programs of SLURM that are not installed; and being root, which the daemons need."""
    absent = [name for name in PROGRAMS if not shutil.which(name)]
    return absent if os.geteuid() == 0 else ["root's rights", *absent]


class Cluster:
    """The daemons and what a client needs, as a context; whatever happens in it, they end with it.

    Attributes:
        folder: of all state, removed at the end. environment: for programs that use the cluster.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        self.environment = os.environ | {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            self.folder.mkdir(mode=0o700)
            undo.callback(shutil.rmtree, self.folder, ignore_errors=True)
            for name in ("state", "spool", "bin", "munge"):
                (self.folder / name).mkdir(mode=0o700)
            self._configure()
            undo.callback(self.stop, "munged")
            self._start_munge()
            for daemon in ("slurmctld", "slurmd"):
                undo.callback(self.stop, daemon)
                self.start(daemon)
            undo.callback(self.command, "scancel", "--user=root")
            self.wait_for(self._idle, "the node to be idle")
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *exception):
        self._undo.close()

    def _configure(self):
        host = socket.gethostname().partition(".")[0]
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 * 9 // 10
        values = {
            "host": host,
            "ports": free_ports(2),
            "folder": self.folder,
            "cores": os.cpu_count(),
            "memory": memory,
        }
        (self.folder / "slurm.conf").write_text(CONFIGURATION.format(**values))
        for number in range(2):  # a device file is asked for; this one is /dev/null's twin
            os.mknod(self.folder / f"nvidia{number}", 0o666 | 0o020000, os.makedev(1, 3))
        gres = f"NodeName={host} Name=gpu Type=fake File={self.folder}/nvidia[0-1]\n"
        (self.folder / "gres.conf").write_text(gres)
        for name in PROGRAMS[3:]:  # inside a job Snakemake does not hand SLURM_CONF on
            client = self.folder / "bin" / name
            client.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {shutil.which(name)} "$@"\n')
            client.chmod(0o755)

    def _start_munge(self):
        key = self.folder / "munge/key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        files = {"key-file": key, "socket": self.folder / "munge.socket", "pid-file": self.folder / "munged.pid"}
        files |= {"log-file": self.folder / "munge/log", "seed-file": self.folder / "munge/seed"}
        subprocess.run(["munged", "--force", *(f"--{name}={path}" for name, path in files.items())], check=True)

    def start(self, daemon):
        """Start slurmctld or slurmd."""
        subprocess.run([daemon, "-f", self.folder / "slurm.conf"], check=True, env=self.environment)

    def stop(self, daemon):
        """End a daemon and wait until it has."""
        file = self.folder / f"{daemon}.pid"
        if not file.exists():
            return
        pid = int(file.read_text())
        os.kill(pid, signal.SIGTERM)
        self.wait_for(lambda: not running(pid), f"the end of {daemon}")
        file.unlink(missing_ok=True)

    def command(self, *words):
        """What a client program prints; empty if it fails."""
        return subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False).stdout

    def restart_controller(self):
        """End slurmctld while a job runs, and start it again after a while; the numbers of the jobs that ran.

        The scheduler answers nobody meanwhile, as at a cluster's maintenance.
        """
        self.wait_for(self._running, "a job to run")
        jobs = self._running()
        self.stop("slurmctld")
        time.sleep(4)
        self.start("slurmctld")
        return jobs

    def _idle(self):
        return self.command("sinfo", "-h", "-N", "-o", "%t").strip() == "idle"

    def _running(self):
        return self.command("squeue", "-h", "-t", "RUNNING", "-o", "%i").split()

    def jobs(self):
        """All jobs of the last hour, each as a dict of what scontrol shows."""
        text = self.command("scontrol", "--oneliner", "show", "job")
        lines = [line for line in text.splitlines() if line.startswith("JobId=")]
        return [dict(word.partition("=")[::2] for word in line.split(" ")) for line in lines]

    @staticmethod
    def wait_for(condition, what, seconds=60):
        """Wait until `condition()` is true."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds} s for {what}")
            time.sleep(0.2)


def running(pid):
    """Whether a process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def free_ports(count):
    """Ports that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports
