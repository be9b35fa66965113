"""Starts the real systems that rules deliver to, from Debian's packages, each in a folder and on a port of its own; ended by their process ids."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from certificates import make_certificate, make_client_certificate


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def await_that(condition, what, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)


class Target:
    """One server. Sub-classes say which program, as whom, and what it is told."""
    package = ""
    programs = ()
    user = None
    start_timeout_s = 60

    def __init__(self, tls=False, asks=False):
        """With TLS: `certificate` is the server's own, and who signed it. `asks`: for the client's, of which `client` has (authority, certificate, key)."""
        self.tls = tls or asks
        self.asks = asks
        self.program = next((each for each in self.programs if os.path.exists(each)), None)
        if self.program is None:
            raise unittest.SkipTest(f"Debian's package {self.package} is not installed")
        self.folder = tempfile.mkdtemp(prefix="iotcore-target-")
        self.port = free_port()
        self.process = None
        if self.user and os.geteuid() == 0:
            shutil.chown(self.folder, self.user)
        if self.tls:
            self.certificate, self.key = make_certificate(self.folder, "127.0.0.1")
        if asks:
            self.client = make_client_certificate(self.folder)
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.close()
            raise

    def as_user(self, command):
        return ["runuser", "-u", self.user, "--", *command] if self.user and os.geteuid() == 0 else list(command)

    def prepare(self):
        pass

    def command(self):
        raise NotImplementedError

    def ready(self):
        return answers(self.port)

    def start(self, wait=True):
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            cwd=self.folder, start_new_session=True, env=self.environment())
        if wait:
            await_that(lambda: self.process.poll() is not None or self.ready(), f"{self.package} does not start",
                       self.start_timeout_s)
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.package} ended:\n{self.log()}")

    def environment(self):
        return dict(os.environ)

    def log(self):
        with open(os.path.join(self.folder, "log"), errors="replace") as file:
            return file.read()[-5000:]

    def processes(self):
        """The server and all that it has started, which may be in sessions of their own: those that work in its folder."""
        found = []
        for each in os.listdir("/proc"):
            try:
                if each.isdigit() and os.readlink(f"/proc/{each}/cwd").startswith(self.folder):
                    found.append(int(each))
            except OSError:
                pass
        return found

    def signal(self, number):
        for pid in self.processes():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()
        await_that(lambda: not self.processes() and not answers(self.port), "the port stays open")

    def close(self):
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Postgres(Target):
    package = "postgresql-15"
    programs = ("/usr/lib/postgresql/15/bin/postgres",)
    user = "postgres"

    def prepare(self):
        subprocess.run(self.as_user([os.path.join(os.path.dirname(self.program), "initdb"), "-D", self.folder + "/data", "-U",
                                     "iot", "-E", "UTF8", "--locale=C", "--auth=trust", "--no-sync"]),
                       check=True, capture_output=True, cwd=self.folder)
        if self.tls and os.geteuid() == 0:
            shutil.chown(self.key, self.user)

    def command(self):
        tls = ["-c", "ssl=on", "-c", "ssl_cert_file=" + self.certificate, "-c", "ssl_key_file=" + self.key] if self.tls else []
        return self.as_user([self.program, *tls, "-D", self.folder + "/data", "-p", str(self.port), "-k", "",
                             "-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=32MB", "-c", "max_connections=20"])

    def ready(self):
        return self.ask("SELECT 1") == "1"

    def ask(self, sql, database="postgres"):
        done = subprocess.run(["/usr/bin/psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "iot", "-d", database,
                               "-AtX", "-v", "ON_ERROR_STOP=1", "-c", sql], capture_output=True, text=True, timeout=60)
        return done.stdout.strip() if done.returncode == 0 else None

    def kill(self):
        # The others end when they miss their parent.
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        await_that(lambda: not answers(self.port), "the port stays open")
        pid = self.folder + "/data/postmaster.pid"
        if os.path.exists(pid):
            os.unlink(pid)


class Redis(Target):
    package = "redis-server"
    programs = ("/usr/bin/redis-server",)

    def command(self):
        port = ["--port", "0", "--tls-port", str(self.port), "--tls-cert-file", self.certificate, "--tls-key-file", self.key,
                "--tls-ca-cert-file", self.certificate, "--tls-auth-clients", "no"] if self.tls else ["--port", str(self.port)]
        return [self.program, *port, "--bind", "127.0.0.1", "--dir", self.folder, "--save", "",
                "--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no"]

    def ready(self):
        return self.ask("PING") == "PONG"

    def ask(self, *arguments):
        tls = ["--tls", "--cacert", self.certificate, "-h", "127.0.0.1"] if self.tls else []
        done = subprocess.run(["/usr/bin/redis-cli", *tls, "-p", str(self.port), *arguments], capture_output=True, text=True, timeout=60)
        return done.stdout.strip()


class Nats(Target):
    package = "nats-server"
    programs = ("/usr/sbin/nats-server", "/usr/bin/nats-server")

    def command(self):
        tls = ["--tls", "--tlscert", self.certificate, "--tlskey", self.key] if self.tls else []
        return [self.program, *tls, "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", self.folder]


class RabbitMq(Target):
    """With TLS it has `tls_port` besides."""
    package = "rabbitmq-server"
    programs = ("/usr/lib/rabbitmq/bin/rabbitmq-server",)
    start_timeout_s = 240  # three seconds of a processor, which may be busy with other tests

    def prepare(self):
        self.distribution_port = free_port()
        self.names_port = free_port()
        if self.tls:
            self.tls_port = free_port()
            with open(self.folder + "/tls.conf", "w") as file:
                file.write(f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}\nssl_options.certfile = {self.certificate}\n"
                           f"ssl_options.keyfile = {self.key}\nssl_options.cacertfile = {self.client[0] if self.asks else self.certificate}\n"
                           f"ssl_options.verify = {'verify_peer' if self.asks else 'verify_none'}\n"
                           f"ssl_options.fail_if_no_peer_cert = {str(self.asks).lower()}\n")

    def close(self):
        super().close()
        # The name server that Erlang starts beside it, on a port of this test's own; it stays while it believes in its node.
        await_that(lambda: subprocess.run(["/usr/bin/epmd", "-port", str(self.names_port), "-kill"], capture_output=True,
                                          timeout=60).returncode != 0 or not answers(self.names_port), "epmd stays")

    def environment(self):
        return dict(os.environ, HOME=self.folder, ERL_EPMD_PORT=str(self.names_port), RABBITMQ_NODENAME=f"iotcore{self.port}@localhost", RABBITMQ_NODE_IP_ADDRESS="127.0.0.1",
                    RABBITMQ_NODE_PORT=str(self.port), RABBITMQ_DIST_PORT=str(self.distribution_port),
                    RABBITMQ_MNESIA_BASE=self.folder + "/mnesia", RABBITMQ_LOG_BASE=self.folder + "/logs",
                    RABBITMQ_ENABLED_PLUGINS_FILE=self.folder + "/plugins", RABBITMQ_CONFIG_FILE=self.folder + ("/tls" if self.tls else "/none"),
                    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
                    RABBITMQ_PID_FILE=self.folder + "/pid")

    def command(self):
        return [self.program]


class Mosquitto(Target):
    package = "mosquitto"
    programs = ("/usr/sbin/mosquitto",)

    def prepare(self):
        with open(self.folder + "/conf", "w") as file:
            file.write(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
                       f"persistence_location {self.folder}/\nautosave_interval 1\nautosave_on_changes true\nuser root\n"
                       "max_queued_messages 0\n")
            if self.tls:
                file.write(f"certfile {self.certificate}\nkeyfile {self.key}\n")
            if self.asks:
                file.write(f"cafile {self.client[0]}\nrequire_certificate true\n")

    def command(self):
        return [self.program, "-c", self.folder + "/conf"]


class Influx(Target):
    package = "influxdb"
    programs = ("/usr/bin/influxd",)

    def prepare(self):
        self.rpc_port = free_port()
        with open(self.folder + "/conf", "w") as file:
            file.write(f'reporting-disabled = true\nbind-address = "127.0.0.1:{self.rpc_port}"\n'
                       f'[meta]\ndir = "{self.folder}/meta"\n[data]\ndir = "{self.folder}/data"\nwal-dir = "{self.folder}/wal"\n'
                       f'[http]\nbind-address = "127.0.0.1:{self.port}"\nauth-enabled = false\n[monitor]\nstore-enabled = false\n')

    def command(self):
        return [self.program, "run", "-config", self.folder + "/conf"]
