"""Starts the real server for a test: its own data folder, free ports, ended by its process id."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import boto3
import botocore.config
import paho.mqtt.client as mqtt

SANITIZED = bool(os.environ.get("IOTCORE_SANITIZE"))  # memory and time are not what they are without
BINARY = os.path.abspath(os.environ.get("IOTCORE_BINARY", os.path.join(os.path.dirname(__file__), "../../build/release/iotcore")))
FACES = ["mqtts", "https", "admin"]
START_TIMEOUT_S = 60  # sanitizers are slow


class Server:
    def __init__(self, dev=True, settings=(), data_dir=None, start=True, config=None, environment=None):
        self.folder = data_dir or tempfile.mkdtemp(prefix="iotcore-test-")
        self.owns_folder = data_dir is None
        self.dev = dev
        self.settings = list(settings)
        self.config = config
        self.environment = dict(os.environ, **(environment or {}))
        self.process = None
        self.info = {}
        if start:
            self.start()

    # -- life --

    def start(self, wait=True):
        ready = os.path.join(self.folder, "ready.json")
        if os.path.exists(ready):
            os.unlink(ready)
        faces = FACES + (["mqtt", "http"] if self.dev else [])
        command = [BINARY, "serve", "--data-dir", self.data_dir, "--ready-file", ready]
        command += ["--dev"] if self.dev else []
        command += ["--config", self.config] if self.config else []
        for face in faces:
            command += ["--set", f"listen.{face}=127.0.0.1:0"]
        for setting in self.settings:
            command += ["--set", setting]
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment)
        return self.wait_until_ready(ready) if wait else self

    def wait_until_ready(self, ready):
        deadline = time.monotonic() + START_TIMEOUT_S
        while not os.path.exists(ready):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start:\n{self.read_log()}")
            time.sleep(0.01)
        with open(ready) as file:
            self.info = json.load(file)
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """In good order; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=START_TIMEOUT_S)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.kill()
        if self.owns_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def read_log(self):
        with open(os.path.join(self.folder, "log"), errors="replace") as file:
            return file.read()

    # -- where things are --

    @property
    def data_dir(self):
        return os.path.join(self.folder, "data")

    @property
    def ca(self):
        return os.path.join(self.data_dir, "ca.pem")

    def port(self, face):
        return self.info["ports"][face]

    def path(self, *parts):
        return os.path.join(self.data_dir, *parts)

    # -- clients --

    def api(self, service="iot", tls=False, **session):
        """A boto3 client: signed over TLS, or on the development face."""
        os.environ["AWS_SHARED_CREDENTIALS_FILE"] = self.path("credentials")
        url = f"https://localhost:{self.port('https')}" if tls else f"http://127.0.0.1:{self.port('http')}"
        return boto3.Session(region_name="us-east-1", **session).client(
            service,
            endpoint_url=url,
            verify=self.ca if tls else None,
            config=botocore.config.Config(retries={"max_attempts": 1}, read_timeout=60),
        )

    def aws(self, *arguments, tls=True):
        """Debian's AWS CLI; returns (exit code, parsed output or error text)."""
        url = f"https://localhost:{self.port('https')}" if tls else f"http://127.0.0.1:{self.port('http')}"
        environment = dict(os.environ, AWS_SHARED_CREDENTIALS_FILE=self.path("credentials"), AWS_PAGER="")
        done = subprocess.run(
            ["/usr/bin/aws", "--endpoint-url", url, "--ca-bundle", self.ca, "--region", "us-east-1",
             "--output", "json", *arguments],
            capture_output=True, text=True, env=environment, timeout=120,
        )
        if done.returncode != 0:
            return done.returncode, done.stderr.strip()
        return 0, json.loads(done.stdout) if done.stdout.strip() else {}

    def device(self, name, document=None):
        """A thing with certificate and policy; returns the certificate's and the key's file and the certificate's ARN."""
        iot = self.api()
        iot.create_thing(thingName=name)
        made = iot.create_keys_and_certificate(setAsActive=True)
        document = document or {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}],
        }
        iot.create_policy(policyName=f"policy-{name}", policyDocument=json.dumps(document))
        iot.attach_policy(policyName=f"policy-{name}", target=made["certificateArn"])
        iot.attach_thing_principal(thingName=name, principal=made["certificateArn"])
        files = []
        for suffix, pem in (("cert", made["certificatePem"]), ("key", made["keyPair"]["PrivateKey"])):
            files.append(os.path.join(self.folder, f"{name}.{suffix}.pem"))
            with open(files[-1], "w") as file:
                file.write(pem)
        return files[0], files[1], made["certificateArn"]

    def raw(self, face="mqtt"):
        return socket.create_connection(("127.0.0.1", self.port(face)), timeout=20)


class Subscriber:
    """Collects messages; connected and subscribed once it is constructed."""

    def __init__(self, server, *filters, client_id="subscriber", qos=1, protocol=mqtt.MQTTv311,
                 tls=None, transport="tcp", face=None):
        self.messages = []
        self._ready = False
        self.client = mqtt.Client(client_id=client_id, protocol=protocol, transport=transport)
        if tls:
            self.client.tls_set(ca_certs=server.ca, certfile=tls[0], keyfile=tls[1])
        self.client.on_message = lambda client, data, message: self.messages.append(message)
        self.client.on_subscribe = lambda *_: setattr(self, "_ready", True)
        self.client.connect("localhost" if tls else "127.0.0.1", server.port(face or ("mqtts" if tls else "mqtt")))
        self.client.loop_start()
        if filters:
            wait_until(self.client.is_connected)
            self.client.subscribe([(each, qos) for each in filters])
            wait_until(lambda: self._ready)
        else:
            wait_until(self.client.is_connected)

    def publish(self, topic, payload, qos=1, retain=False):
        """Returns once it is acknowledged."""
        info = self.client.publish(topic, payload, qos=qos, retain=retain)
        info.wait_for_publish(60)
        if not info.is_published():
            raise RuntimeError(f"no acknowledgement for {topic}")

    def wait(self, count):
        wait_until(lambda: len(self.messages) >= count)
        return self.messages

    def payloads(self):
        return [message.payload for message in self.messages]

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def wait_until(condition, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition did not come true")
        time.sleep(0.005)
