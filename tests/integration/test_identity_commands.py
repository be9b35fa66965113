"""What operators do on the command line: a new CA while the server runs and while it does not, a fleet taken in, levels of the log."""
import json
import os
import ssl
import socket
import subprocess
import unittest

from identity import ALLOW_ALL, ARN, Pki, policy
from mqtt_wire import Client
from server import BINARY, Server, wait_until


class Commands(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.close)
        self.iot = self.server.api()
        self.pki = Pki()
        self.addCleanup(self.pki.folder.cleanup)

    def run_command(self, *arguments, code=0):
        done = subprocess.run([BINARY, *arguments, "--data-dir", self.server.data_dir], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout, done.stderr

    def chain(self, roots):
        """The server's certificate as a client sees it that trusts these roots."""
        context = ssl.create_default_context(cafile=roots)
        with socket.create_connection(("127.0.0.1", self.server.port("mqtts")), timeout=20) as raw:
            with context.wrap_socket(raw, server_hostname="localhost") as connection:
                return connection.getpeercert(binary_form=True)

    def keep_root(self, name):
        path = self.pki.path(name)
        with open(self.server.ca) as source, open(path, "w") as target:
            target.write(source.read())
        return path

    def test_the_ca_is_rotated_while_the_server_runs(self):
        certificate, key, _ = self.server.device("dev")
        device = Client(self.server, "dev", tls=(certificate, key))
        self.addCleanup(device.close)
        old_root = self.keep_root("old.pem")
        first = self.chain(old_root)
        self.run_command("ca", "rotate", "--intermediate")
        wait_until(lambda: self.chain(old_root) != first, 10)
        second = self.chain(old_root)
        with open(self.server.ca) as file:
            self.assertEqual(file.read(), open(old_root).read())
        out, _ = self.run_command("ca", "rotate")
        self.assertIn("ca.pem", out)
        wait_until(lambda: self.chain(old_root) != second, 10)
        with open(self.server.ca) as file:
            new, old = file.read().split("-----END CERTIFICATE-----\n")[:2]
        self.assertIn(old.strip(), open(old_root).read())
        new_root = self.pki.path("new.pem")
        with open(new_root, "w") as file:
            file.write(new + "-----END CERTIFICATE-----\n")
        self.assertEqual(self.chain(new_root), self.chain(old_root))
        # Who was connected is so still, and certificates of before go on.
        self.assertIsNotNone(device.published("t", b"x"))
        again = Client(self.server, "dev2", tls=(certificate, key))
        self.assertEqual(again.connack.reason, 0)
        again.close()
        made = self.iot.create_keys_and_certificate()
        with open(self.pki.path("device.pem"), "w") as file:
            file.write(made["certificatePem"])
        self.pki.run("verify", "-CAfile", new_root, "-untrusted", self.server.path("intermediate.pem"), "device.pem")

    def test_the_ca_is_rotated_while_no_server_runs(self):
        old_root = self.keep_root("old.pem")
        first = self.chain(old_root)
        self.server.stop()
        self.run_command("ca", "rotate")
        self.server.start()
        self.assertNotEqual(self.chain(old_root), first)
        self.assertEqual(self.chain(old_root), self.chain(self.server.ca))

    def test_only_those_who_may_rotate_it(self):
        refused = self.server.api("iot", tls=True, aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="x" * 40)
        with self.assertRaises(Exception):
            refused.list_things()
        with open(os.path.join(self.server.folder, "keys"), "w") as file:
            file.write(self.run_command("keys", "create", "--user", "watcher", "--role", "read-only")[0])
        lines = dict(line.split(" = ") for line in open(os.path.join(self.server.folder, "keys")).read().splitlines() if " = " in line)
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
        import http.client
        host = f"localhost:{self.server.port('https')}"
        request = AWSRequest("POST", f"https://{host}/_iotcore/ca/rotate", data=b"{}", headers={"Content-Type": "application/json"})
        SigV4Auth(Credentials(lines["aws_access_key_id"], lines["aws_secret_access_key"]), "iot", "us-east-1").add_auth(request)
        connection = http.client.HTTPSConnection(host, context=ssl.create_default_context(cafile=self.server.ca), timeout=20)
        connection.request("POST", "/_iotcore/ca/rotate", b"{}", dict(request.headers))
        self.assertEqual(connection.getresponse().status, 403)

    def fleet(self, *things):
        path = self.pki.path("fleet.jsonl")
        with open(path, "w") as file:
            file.writelines((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in things)
        return path

    def test_a_fleet_is_taken_in(self):
        self.iot.create_thing_type(thingTypeName="pump")
        self.iot.create_thing_group(thingGroupName="north")
        self.iot.create_billing_group(billingGroupName="bill")
        self.iot.create_policy(policyName="all", policyDocument=ALLOW_ALL)
        pem = self.pki.ca("pump-1", is_ca=False)
        whole = {"thingName": "pump-1", "thingTypeName": "pump", "attributes": {"site": "n", "none": ""}, "billingGroupName": "bill",
                 "thingGroupNames": ["north"], "certificatePem": pem, "thingPrincipalType": "EXCLUSIVE_THING", "policyNames": ["all"]}
        plain = [{"thingName": f"plain-{number}"} for number in range(2500)]
        out, _ = self.run_command("import", self.fleet(whole, "", *plain))
        self.assertEqual(out, "2501 imported, 0 there already, 0 refused\n")
        described = self.iot.describe_thing(thingName="pump-1")
        self.assertEqual((described["thingTypeName"], described["attributes"], described["billingGroupName"], described["version"]),
                         ("pump", {"site": "n"}, "bill", 1))
        self.assertEqual(self.iot.list_things_in_thing_group(thingGroupName="north")["things"], ["pump-1"])
        self.assertEqual(self.iot.list_things_in_billing_group(billingGroupName="bill")["things"], ["pump-1"])
        self.assertEqual([each["thingName"] for each in self.iot.list_things(attributeName="site", attributeValue="n")["things"]], ["pump-1"])
        arn = ARN + "cert/" + self.pki.fingerprint("pump-1")
        self.assertEqual(self.iot.list_thing_principals(thingName="pump-1")["principals"], [arn])
        self.assertEqual([each["policyName"] for each in self.iot.list_attached_policies(target=arn)["policies"]], ["all"])
        device = Client(self.server, "whatever", tls=self.pki.files("pump-1"))
        self.assertEqual(device.connack.reason, 0)
        device.close()
        # Again: nothing. Changed: refused, and named by its line; the others go in.
        self.assertEqual(self.run_command("import", self.fleet(whole, *plain))[0], "0 imported, 2501 there already, 0 refused\n")
        # What is there already is not asked for its policies, which come with a certificate that is new.
        self.assertEqual(self.run_command("import", self.fleet({**whole, "policyNames": ["absent"]}, {"thingName": "late"}))[0],
                         "1 imported, 1 there already, 0 refused\n")
        _, err = self.run_command("import", self.fleet({"thingName": "e", "certificatePem": pem, "policyNames": ["absent"]}), code=1)
        self.assertIn("already registered", err)
        other = self.pki.ca("other", is_ca=False)
        out, err = self.run_command("import", self.fleet(
            {**whole, "attributes": {"site": "s"}}, {"thingName": "no spaces"}, {"thingName": "good"}, "{", {"thingName": "t", "thingTypeName": "absent"},
            {"thingName": "c", "certificatePem": "none"}, {"thingName": "p", "certificatePem": other, "policyNames": ["absent"]},
            {"thingName": "d", "certificatePem": pem}, {"thingName": "o", "policyNames": ["all"]}, {"thingName": "good"}), code=1)
        self.assertEqual(out, "1 imported, 1 there already, 8 refused\n")
        for line in (1, 2, 4, 5, 6, 7, 8, 9):
            self.assertIn(f"line {line}: ", err)
        self.assertEqual(self.iot.describe_thing(thingName="good")["version"], 1)
        for absent in ("c", "p", "d", "o", "t"):
            with self.assertRaises(self.iot.exceptions.ResourceNotFoundException):
                self.iot.describe_thing(thingName=absent)
        # What was half of a refused line is not there either.
        with self.assertRaises(self.iot.exceptions.ResourceNotFoundException):
            self.iot.describe_certificate(certificateId=self.pki.fingerprint("other"))

    def test_levels_of_the_log(self):
        certificate, key, _ = self.server.device("dev", json.loads(policy(("Allow", "iot:Connect", "*"))))

        def refused(client_id):
            """Whether the log tells of a publish that was refused."""
            got = Client(self.server, client_id, version=5, tls=(certificate, key))
            self.assertEqual(got.published("not/allowed", b"x").reason, 0x87)
            got.close()
            return any("authorization.denied" in line and f"client_id={client_id}" in line for line in self.server.read_log().splitlines())
        self.assertTrue(refused("a"))
        role = "arn:aws:iam::000000000000:role/r"
        self.iot.set_v2_logging_options(roleArn=role, defaultLogLevel="ERROR")
        self.assertFalse(refused("b"))
        self.iot.set_v2_logging_level(logTarget={"targetType": "CLIENT_ID", "targetName": "c"}, logLevel="DEBUG")
        self.assertTrue(refused("c"))
        self.assertFalse(refused("d"))
        self.server.stop()
        self.server.start()
        self.assertFalse(refused("e"))
        self.server.api().set_v2_logging_options(roleArn=role, defaultLogLevel="INFO", disableAllLogs=False)
        self.assertTrue(refused("f"))


if __name__ == "__main__":
    unittest.main(warnings="ignore")
