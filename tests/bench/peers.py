"""The servers that tests/bench/run measures: how each is started for a scenario, and how its clients get their certificates."""

import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 20
STOP_TIMEOUT_S = 10


class Unable(Exception):
    """This peer cannot run this scenario, and why."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def p256_key(path):
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)


class Certificates:
    """A CA, a server and a client certificate, all P-256, for the peers that do not issue their own."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.ca = self.folder / "ca.pem"
        p256_key(self.folder / "ca.key")
        openssl("req", "-x509", "-key", self.folder / "ca.key", "-subj", "/CN=bench CA", "-days", 2, "-out", self.ca)
        self.server = self._issue("server", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self.client = self._issue("client", "extendedKeyUsage=clientAuth")

    def _issue(self, name, extension):
        key, csr, cert, ext = (self.folder / f"{name}.{end}" for end in ("key", "csr", "pem", "ext"))
        p256_key(key)
        ext.write_text(extension + "\n")
        openssl("req", "-new", "-key", key, "-subj", f"/CN=bench {name}", "-out", csr)
        openssl("x509", "-req", "-in", csr, "-CA", self.ca, "-CAkey", self.folder / "ca.key", "-CAcreateserial",
                "-days", 2, "-extfile", ext, "-out", cert)
        return cert, key


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Server:
    """A running server. `port` is where to connect, `tls` and `extra` are the generator's options for TLS and for other ports."""

    def __init__(self, command, folder, cpus):
        self.folder = pathlib.Path(folder)
        self.log = self.folder / "log"
        self.port = None
        self.tls = []
        self.extra = []
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", ",".join(map(str, cpus)), *map(str, command)],
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)

    @property
    def pid(self):
        return self.process.pid

    def wait_until(self, ready):
        end = time.monotonic() + START_TIMEOUT_S
        while not ready():
            if self.process.poll() is not None or time.monotonic() > end:
                text = self.log.read_text(errors="replace").strip()
                raise Unable(f"did not start: {text[-300:] or 'silent'}")
            time.sleep(0.02)

    def wait_for_port(self):
        def accepts():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0
        self.wait_until(accepts)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def binary(path, hint):
    found = shutil.which(str(path))
    if not found:
        raise Unable(f"{path} is not there ({hint})")
    return found


class Relay:
    def __init__(self, path, context):
        self.path = path or context.bin_dir / "relay"

    def start(self, scenario, folder, cpus):
        if "wiring" not in scenario or scenario.get("tls") or scenario.get("face"):
            raise Unable("not for a relay")
        server = Server([binary(self.path, "build the target relay"), "--wiring", scenario["wiring"]], folder, cpus)
        server.wait_until(lambda: server.log.read_text().endswith("\n"))
        server.port = int(server.log.read_text().split()[1])
        return server


class Mosquitto:
    """Without limits and without persistence, and with Nagle's algorithm off, as the others have it."""

    CONFIGURATION = """
        listener {port} 127.0.0.1
        allow_anonymous true
        persistence false
        max_queued_messages 0
        max_queued_bytes 0
        max_inflight_messages 0
        set_tcp_nodelay true
        log_dest stderr
        log_type error
        user root
    """
    TLS = """
        cafile {ca}
        certfile {server[0]}
        keyfile {server[1]}
        require_certificate true
    """

    def __init__(self, path, context):
        self.path = path or "/usr/sbin/mosquitto"
        self.context = context

    def start(self, scenario, folder, cpus):
        if scenario.get("face") == "https" or scenario.get("settings") or scenario.get("api"):
            raise Unable("only for iotcore")
        port = free_port()
        text = self.CONFIGURATION.format(port=port)
        if scenario.get("face") == "http":
            text += "\nprotocol websockets\n"
        tls = scenario.get("tls")
        if tls:
            text += self.TLS.format(**vars(self.context.certificates))
        config = pathlib.Path(folder) / "mosquitto.conf"
        config.write_text("\n".join(line.strip() for line in text.splitlines()))
        server = Server([binary(self.path, "apt install mosquitto"), "-c", config], folder, cpus)
        server.port = port
        if tls:
            cert, key = self.context.certificates.client
            server.tls = ["--ca", self.context.certificates.ca, "--cert", cert, "--key", key]
        server.wait_for_port()
        return server


class FlashMq:
    CONFIGURATION = """
        allow_anonymous true
        thread_count {threads}
        storage_dir {folder}
        quiet true
        max_qos_msg_pending_per_client 65535
        max_qos_bytes_pending_per_client 4194304000
        listen {{
          protocol mqtt
          port {port}
          inet_protocol ip4
          inet4_bind_address 127.0.0.1
        }}
    """

    def __init__(self, path, context):
        self.path = path or os.environ.get("FLASHMQ_BIN", "flashmq")

    def start(self, scenario, folder, cpus):
        if {"tls", "face", "settings", "api"} & scenario.keys():
            raise Unable("not configured for this peer")
        port = free_port()
        config = pathlib.Path(folder) / "flashmq.conf"
        config.write_text(self.CONFIGURATION.format(port=port, threads=len(cpus), folder=folder))
        server = Server([binary(self.path, "set FLASHMQ_BIN"), "--config-file", config], folder, cpus)
        server.port = port
        server.wait_for_port()
        return server


class Command:
    """Any other server on plain TCP: a command line with {port} and {folder} in it."""

    def __init__(self, path, context):
        self.template = path

    def start(self, scenario, folder, cpus):
        if {"tls", "face", "settings", "api"} & scenario.keys():
            raise Unable("not configured for this peer")
        port = free_port()
        words = [word.format(port=port, folder=folder) for word in self.template.split()]
        server = Server(words, folder, cpus)
        server.port = port
        server.wait_for_port()
        return server


class Iotcore:
    """Its own data folder, its own CA; device certificates come over the REST API, as a fleet gets them."""

    FACES = ("mqtt", "mqtts", "http", "https", "admin")

    def __init__(self, path, context):
        self.path = path or ROOT / "build/release/iotcore"
        self.context = context

    def start(self, scenario, folder, cpus):
        ready = pathlib.Path(folder) / "ready.json"
        command = [binary(self.path, "build the preset release"), "serve", "--dev",
                   "--data-dir", pathlib.Path(folder) / "data", "--ready-file", ready]
        settings = [f"listen.{face}=127.0.0.1:0" for face in self.FACES] + scenario.get("settings", []) + self.context.settings
        for setting in settings:
            command += ["--set", setting]
        server = Server(command, folder, cpus)
        try:
            server.wait_until(ready.exists)
            state = json.loads(ready.read_text())
            ports = state["ports"]
            server.port = ports[scenario.get("face", "mqtts" if scenario.get("tls") else "mqtt")]
            if scenario.get("tls") or scenario.get("api"):
                server.tls = self._device_certificate(state, pathlib.Path(folder))
            if scenario.get("api"):
                server.extra = ["--tls-port", ports["mqtts"], "--api-port", ports["http"]]
        except BaseException:
            server.stop()
            raise
        return server

    @staticmethod
    def _device_certificate(state, folder):
        import boto3  # only here: slow to load
        key, csr, cert = (folder / f"device.{end}" for end in ("key", "csr", "pem"))
        p256_key(key)
        openssl("req", "-new", "-key", key, "-subj", "/CN=bench device", "-out", csr)
        iot = boto3.client(
            "iot", endpoint_url=f"http://127.0.0.1:{state['ports']['http']}", region_name=state["region"],
            aws_access_key_id="bench", aws_secret_access_key="bench")
        issued = iot.create_certificate_from_csr(certificateSigningRequest=csr.read_text(), setAsActive=True)
        cert.write_text(issued["certificatePem"])
        everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}
        iot.create_policy(policyName="bench", policyDocument=json.dumps(everything))
        iot.attach_policy(policyName="bench", target=issued["certificateArn"])
        return ["--ca", pathlib.Path(state["data_dir"]) / "ca.pem", "--cert", cert, "--key", key]


KINDS = {"iotcore": Iotcore, "mosquitto": Mosquitto, "relay": Relay, "flashmq": FlashMq, "command": Command}


class Context:
    """What peers share within one invocation."""

    def __init__(self, bin_dir, settings):
        self.bin_dir = pathlib.Path(bin_dir)
        self.settings = settings
        self._folder = None
        self._certificates = None

    @property
    def certificates(self):
        if self._certificates is None:
            self._folder = tempfile.TemporaryDirectory(prefix="iotcore-bench-ca-")
            self._certificates = Certificates(self._folder.name)
        return self._certificates


def make_peer(word, context):
    """A peer from NAME, NAME=KIND or NAME=KIND:PATH."""
    name, _, rest = word.partition("=")
    kind, _, path = (rest or name).partition(":")
    if kind not in KINDS:
        raise SystemExit(f"run: unknown peer {word}; NAME or NAME=KIND:PATH with KIND one of {', '.join(KINDS)}")
    peer = KINDS[kind](path or None, context)
    peer.name = name.partition(":")[0]
    return peer
