"""What `iotcore client trace` shows of one client, and who may ask for it."""
import http.client
import json
import os
import ssl
import subprocess
import unittest

import boto3
import botocore.auth
import botocore.awsrequest
import paho.mqtt.client as mqtt

from server import BINARY, Server, Subscriber, wait_until


class ClientTrace(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        document = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"},
            {"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"], "Resource": "arn:aws:iot:us-east-1:000000000000:topic/lamp/*"},
            {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": "*"},
        ]}
        cls.device = cls.server.device("lamp", document)[:2]

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def trace(self, client_id, *options):
        process = subprocess.Popen([BINARY, "client", "trace", client_id, "--data-dir", self.server.data_dir, *options],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertIn(f"tracing {client_id}", process.stderr.readline())
        return process

    def test_packets_and_decisions_of_one_client(self):
        trace = self.trace("lamp", "--seconds", "4")
        client = Subscriber(self.server, "lamp/in", client_id="lamp", tls=self.device, protocol=mqtt.MQTTv5)
        client.publish("lamp/in", "not to be shown")
        client.publish("other/out", "x")
        Subscriber(self.server, client_id="stranger").publish("lamp/strange", "x")
        client.wait(1)
        client.close()
        out, _ = trace.communicate(timeout=60)
        for line in ("-> CONNECT version=5", "ALLOWED Connect", "<- CONNACK session_present=false reason=0x00",
                     "-> SUBSCRIBE id=1 filter=lamp/in qos=1", "<- SUBACK", "ALLOWED Publish lamp/in", "-> PUBLISH topic=lamp/in qos=1 id=2 bytes=15",
                     "ALLOWED Receive lamp/in", "<- PUBLISH topic=lamp/in qos=1", "-> PUBACK", "DENIED Publish other/out",
                     "<- PUBACK id=3 reason=0x87 (not_authorized)", "-> DISCONNECT", "CLOSED CLIENT_INITIATED_DISCONNECT"):
            self.assertIn(line, out)
        self.assertNotIn("not to be shown", out)
        self.assertNotIn("strange", out)

    def test_count_ends_it(self):
        trace = self.trace("counted", "--count", "1")
        client = Subscriber(self.server, client_id="counted")
        out, _ = trace.communicate(timeout=60)
        client.close()
        self.assertEqual(len(out.splitlines()), 1)
        self.assertIn("-> CONNECT", out)

    def call(self, credentials, path):
        url = f"https://localhost:{self.server.port('https')}{path}"
        request = botocore.awsrequest.AWSRequest(method="GET", url=url)
        if credentials:
            botocore.auth.SigV4Auth(credentials, "iot", "us-east-1").add_auth(request)
        connection = http.client.HTTPSConnection("localhost", self.server.port("https"), context=ssl.create_default_context(cafile=self.server.ca))
        self.addCleanup(connection.close)
        connection.request("GET", path, headers=dict(request.headers))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")

    def key(self, *arguments):
        done = subprocess.run([BINARY, "keys", "create", "--data-dir", self.server.data_dir, *arguments], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        path = os.path.join(self.server.folder, "keys")
        with open(path, "w") as file:
            file.write(done.stdout)
        profile = done.stdout.split("[")[1].split("]")[0]
        os.environ["AWS_SHARED_CREDENTIALS_FILE"] = path
        return boto3.Session(profile_name=profile).get_credentials()

    def test_only_who_may(self):
        path = "/_iotcore/clients/lamp/trace"
        self.assertEqual(self.call(None, path)[0], 403)
        self.assertEqual(self.call(self.key("--user", "nobody", "--role", "none"), path)[0], 403)
        status, page = self.call(self.key("--user", "boss", "--role", "administrator"), path)
        self.assertEqual((status, sorted(page)), (200, ["events", "missed", "next"]))
        self.assertEqual(self.call(self.key("--user", "boss2", "--role", "administrator"), path + "?after=-1")[0], 400)

    def test_the_log_of_one_client(self):
        """The same on the log, at a level of its own: SetV2LoggingLevel."""
        self.server.api().set_v2_logging_options(roleArn="arn:aws:iam::000000000000:role/logs", defaultLogLevel="INFO")
        self.server.api().set_v2_logging_level(logTarget={"targetType": "CLIENT_ID", "targetName": "watched"}, logLevel="DEBUG")
        for name in ("watched", "unwatched"):
            Subscriber(self.server, client_id=name).close()
        wait_until(lambda: "client.disconnected client_id=watched" in self.server.read_log())
        self.assertIn("client.connected client_id=watched", self.server.read_log())
        self.assertNotIn("client_id=unwatched", self.server.read_log())

    def test_one_operator_may_look_at_one_client(self):
        self.server.api().create_policy(policyName="look", policyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "iotcore:TraceClient", "Resource": "arn:aws:iot:us-east-1:000000000000:client/lamp"}]}))
        key = self.key("--user", "looker", "--role", "none", "--policy", "look")
        self.assertEqual(self.call(key, "/_iotcore/clients/lamp/trace")[0], 200)
        self.assertEqual(self.call(key, "/_iotcore/clients/other/trace")[0], 403)


if __name__ == "__main__":
    unittest.main()
