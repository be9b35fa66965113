"""Who operators are and what they may do: access keys, roles, policies, sessions, bearer tokens, signatures' forms, the audit log."""
import datetime
import hashlib
import hmac
import http.client
import json
import os
import ssl
import subprocess
import unittest
import urllib.parse

from identity import ARN, Refusals, policy
from server import BINARY, Server, Subscriber, wait_until

import paho.mqtt.client as mqtt


def sign(server, method, target, key, secret, body=b"", headers=None, service="iot", token=None, at=None, region="us-east-1"):
    """SigV4 in headers, by hand: what raw requests and other languages' signers send."""
    at = at or datetime.datetime.utcnow()
    stamp, date = at.strftime("%Y%m%dT%H%M%SZ"), at.strftime("%Y%m%d")
    headers = dict(headers or {}, host=f"localhost:{server.port('https')}", **{"x-amz-date": stamp})
    if token:
        headers["x-amz-security-token"] = token
    names = sorted(headers, key=str.lower)
    path, _, query = target.partition("?")
    path = "/".join(urllib.parse.quote(part, safe="-._~") for part in path.split("/"))
    query = "&".join(sorted(part if "=" in part else part + "=" for part in query.split("&") if part))
    digest = headers.get("x-amz-content-sha256") or hashlib.sha256(body).hexdigest()
    canonical = "\n".join([method, path, query, "".join(f"{n.lower()}:{headers[n]}\n" for n in names), ";".join(n.lower() for n in names), digest])
    scope = f"{date}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    derived = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        derived = hmac.new(derived, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(derived, text.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={';'.join(n.lower() for n in names)}, Signature={signature}"
    return headers


def administrator(server):
    with open(server.path("credentials")) as file:
        text = file.read()
    return [text.split(name + " = ")[1].split()[0] for name in ("aws_access_key_id", "aws_secret_access_key")]


class Access(Refusals, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.iot = cls.server.api(tls=True)
        cls.key, cls.secret = administrator(cls.server)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def call(self, method, target, body=b"", headers=None, server=None):
        server = server or self.server
        context = ssl.create_default_context(cafile=server.ca)
        connection = http.client.HTTPSConnection("localhost", server.port("https"), context=context, timeout=20)
        connection.request(method, target, body, headers or {})
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response.status, response.headers.get("x-amzn-ErrorType"), json.loads(text or b"{}")

    def signed(self, method, target, body=None, key=None, secret=None, **options):
        data = b"" if body is None else json.dumps(body).encode()
        return self.call(method, target, data, sign(self.server, method, target, key or self.key, secret or self.secret, data, **options))

    def create_key(self, user, **body):
        status, error, made = self.signed("POST", "/_iotcore/access-keys", dict(userName=user, **body))
        self.assertEqual((status, error), (200, None), made)
        return made["accessKey"]

    def client(self, key, service="iot", token=None):
        return self.server.api(service, tls=True, aws_access_key_id=key["accessKeyId"],
                               aws_secret_access_key=key["secretAccessKey"], aws_session_token=token)

    def test_roles_and_policies_say_what_an_operator_may_do(self):
        reader = self.client(self.create_key("reader", role="READ_ONLY"))
        reader.list_things()
        denied = self.refused("AccessDeniedException", 403, reader.create_thing, thingName="t")
        # What is wrong with a request is for those who may make it.
        self.refused("AccessDeniedException", 403, reader.create_thing, thingName="no name!")
        self.refused("InvalidRequestException", 400, reader.describe_thing, thingName="no name!")
        self.assertEqual(denied["Error"]["Message"],
                         "User: arn:aws:iam::000000000000:user/reader is not authorized to perform: iot:CreateThing on resource: " + ARN + "thing/t")
        nobody = self.create_key("nobody")
        self.refused("AccessDeniedException", 403, self.client(nobody).list_things)
        self.iot.create_policy(policyName="pumps", policyDocument=policy(
            ("Allow", "iot:*Thing", ARN + "thing/pump-*"), ("Deny", "iot:DeleteThing", "*"), ("Allow", "iot:Publish", ARN + "topic/pumps/*")))
        pumps = self.create_key("pumps", policyNames=["pumps"])
        client = self.client(pumps)
        client.create_thing(thingName="pump-1")
        self.refused("AccessDeniedException", 403, client.create_thing, thingName="valve-1")
        self.refused("AccessDeniedException", 403, client.delete_thing, thingName="pump-1")
        self.refused("AccessDeniedException", 403, client.list_things)
        data = self.client(pumps, "iot-data")
        data.publish(topic="pumps/1", payload=b"x")
        self.refused("AccessDeniedException", 403, data.publish, topic="valves/1", payload=b"x")
        self.iot.detach_policy(policyName="pumps", target="arn:aws:iam::000000000000:user/pumps")
        self.refused("AccessDeniedException", 403, client.describe_thing, thingName="pump-1")
        status, error, _ = self.signed("POST", "/_iotcore/access-keys", {"userName": "x"}, nobody["accessKeyId"], nobody["secretAccessKey"])
        self.assertEqual((status, error), (403, "AccessDeniedException"))

    def test_what_is_named_in_the_body_is_the_policies_to_allow(self):
        for group in ("crew", "staff"):
            self.iot.create_thing_group(thingGroupName=group)
        self.iot.create_thing(thingName="body-1")
        self.iot.create_policy(policyName="crew", policyDocument=policy(
            ("Allow", ["iot:AddThingToThingGroup", "iot:UpdateThingGroupsForThing"], [ARN + "thing/body-*", ARN + "thinggroup/*"]),
            ("Allow", "iot:TagResource", "*"), ("Deny", "iot:*", ARN + "thinggroup/staff")))
        client = self.client(self.create_key("crew", policyNames=["crew"]))
        client.add_thing_to_thing_group(thingGroupName="crew", thingName="body-1")
        client.tag_resource(resourceArn=ARN + "thinggroup/crew", tags=[{"Key": "k", "Value": "v"}])
        for refused in (lambda **_: client.add_thing_to_thing_group(thingGroupName="staff", thingName="body-1"),
                        lambda **_: client.add_thing_to_thing_group(thingGroupArn=ARN + "thinggroup/staff", thingName="body-1"),
                        lambda **_: client.add_thing_to_thing_group(thingGroupName="crew", thingName="other"),
                        lambda **_: client.update_thing_groups_for_thing(thingName="body-1", thingGroupsToAdd=["staff"]),
                        lambda **_: client.tag_resource(resourceArn=ARN + "thinggroup/staff", tags=[{"Key": "k", "Value": "v"}])):
            self.refused("AccessDeniedException", 403, refused)

    def test_keys_are_rotated_put_aside_and_revoked(self):
        old = self.create_key("worker", role="ADMINISTRATOR")
        self.client(old).list_things()
        _, _, made = self.signed("POST", f"/_iotcore/access-keys/{old['accessKeyId']}/rotate")
        new = made["accessKey"]
        self.client(old).list_things()
        self.client(new).list_things()
        path = f"/_iotcore/access-keys/{old['accessKeyId']}"
        self.assertEqual(self.signed("PUT", path + "?status=INACTIVE")[0], 200)
        self.refused("UnrecognizedClientException", 403, self.client(old).list_things)
        _, _, listed = self.signed("GET", "/_iotcore/access-keys?userName=worker")
        self.assertEqual(sorted((each["accessKeyId"], each["status"]) for each in listed["accessKeys"]),
                         sorted([(old["accessKeyId"], "INACTIVE"), (new["accessKeyId"], "ACTIVE")]))
        self.assertNotIn("secretAccessKey", json.dumps(listed))
        self.assertEqual(self.signed("DELETE", path)[0], 200)
        self.assertEqual(self.signed("DELETE", path)[:2], (404, "ResourceNotFoundException"))
        self.assertEqual(self.signed("DELETE", f"/_iotcore/access-keys/{new['accessKeyId']}")[0], 200)
        self.assertEqual(self.signed("DELETE", f"/_iotcore/access-keys/{self.key}")[:2], (409, "DeleteConflictException"))
        self.assertEqual(self.signed("PUT", f"/_iotcore/access-keys/{self.key}?status=PAUSED")[:2], (400, "InvalidRequestException"))

    def test_the_keys_command(self):
        def run(*arguments):
            return subprocess.run([BINARY, "keys", *arguments, "--data-dir", self.server.data_dir], capture_output=True, text=True, timeout=60)

        made = run("create", "--user", "tool", "--role", "read-only")
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertTrue(made.stdout.startswith("[tool]\naws_access_key_id = AKIA"))
        key = made.stdout.split("aws_access_key_id = ")[1].split()[0]
        self.assertIn(key, run("list", "--user", "tool").stdout)
        rotated = run("rotate", key)
        self.assertEqual(rotated.returncode, 0, rotated.stderr)
        self.assertEqual(run("revoke", key).returncode, 0)
        listed = run("list").stdout
        self.assertNotIn(key, listed)
        self.assertIn(rotated.stdout.split("aws_access_key_id = ")[1].split()[0], listed)
        self.assertEqual(run("revoke", key).returncode, 1)

    def test_sessions_and_bearer_tokens(self):
        key = self.create_key("session", role="READ_ONLY")
        status, _, made = self.signed("POST", "/_iotcore/sessions", {"durationSeconds": 900}, key["accessKeyId"], key["secretAccessKey"])
        self.assertEqual(status, 403)  # not for whom nobody has allowed it
        made = self.signed("POST", "/_iotcore/sessions", {"durationSeconds": 900})[2]["credentials"]
        self.assertTrue(made["accessKeyId"].startswith("ASIA"))
        self.client(made, token=made["sessionToken"]).list_things()
        self.refused("UnrecognizedClientException", 403, self.client(made).list_things)
        self.refused("UnrecognizedClientException", 403, self.client(made, token=made["sessionToken"][:-8] + "AAAAAAA=").list_things)
        bearer = self.signed("POST", "/_iotcore/tokens", {})[2]
        self.assertGreater(bearer["expiration"], 1.7e9)
        authorization = {"Authorization": "Bearer " + bearer["token"]}
        self.assertEqual(self.call("GET", "/things", headers=authorization)[0], 200)
        self.assertEqual(self.call("GET", "/things", headers={"Authorization": "Bearer nonsense"})[:2], (403, "UnrecognizedClientException"))
        self.assertEqual(self.signed("POST", "/_iotcore/tokens", {"durationSeconds": 1})[:2], (400, "InvalidRequestException"))

    def test_g71_signatures_have_their_time_region_and_service(self):
        now = datetime.datetime.utcnow()
        self.assertEqual(self.signed("GET", "/things")[0], 200)
        for options in ({"at": now - datetime.timedelta(minutes=6)}, {"at": now + datetime.timedelta(minutes=6)},
                        {"service": "s3"}):
            self.assertEqual(self.signed("GET", "/things", **options)[:2], (403, "InvalidSignatureException"), options)
        self.assertEqual(self.signed("GET", "/things", secret="x" * 40)[:2], (403, "InvalidSignatureException"))
        self.assertEqual(self.call("GET", "/things")[:2], (403, "MissingAuthenticationTokenException"))
        self.assertEqual(self.call("GET", "/things", headers={"Authorization": "AWS4-HMAC-SHA256 Credential=x"})[:2], (400, "IncompleteSignatureException"))

    def test_g71_signatures_are_for_the_region_of_a_server_that_is_not_for_development(self):
        server = Server(dev=False, settings=["aws.region=eu-north-1"])
        self.addCleanup(server.close)
        for region, answer in (("eu-north-1", (200, None)), ("us-east-1", (403, "InvalidSignatureException"))):
            headers = sign(server, "GET", "/things", *administrator(server), region=region)
            self.assertEqual(self.call("GET", "/things", headers=headers, server=server)[:2], answer, region)

    def test_payloads_that_are_not_signed_are_refused_clearly(self):
        for form in ("UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"):
            status, error, body = self.signed("POST", "/things/unsigned", {}, headers={"x-amz-content-sha256": form})
            self.assertEqual((status, error), (403, "InvalidSignatureException"))
            self.assertIn("is not supported here", body["message"])

    def test_a_signed_websocket_has_its_operator_s_rights(self):
        self.iot.create_policy(policyName="socket", policyDocument=policy(
            ("Allow", "iot:Connect", ARN + "client/socket"), ("Allow", ["iot:Subscribe", "iot:Receive", "iot:Publish"], ["*"])))
        key = self.create_key("socket", policyNames=["socket"])
        listener = Subscriber(self.server, "from/socket")

        def connect(client_id):
            host = f"localhost:{self.server.port('https')}"
            at = datetime.datetime.utcnow()
            stamp, date = at.strftime("%Y%m%dT%H%M%SZ"), at.strftime("%Y%m%d")
            scope = f"{date}/us-east-1/iotdevicegateway/aws4_request"
            query = "&".join(["X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Credential=" + urllib.parse.quote(f"{key['accessKeyId']}/{scope}", safe=""),
                              f"X-Amz-Date={stamp}", "X-Amz-Expires=86400", "X-Amz-SignedHeaders=host"])
            canonical = "\n".join(["GET", "/mqtt", query, f"host:{host}\n", "host", hashlib.sha256(b"").hexdigest()])
            text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
            derived = ("AWS4" + key["secretAccessKey"]).encode()
            for part in scope.split("/"):
                derived = hmac.new(derived, part.encode(), hashlib.sha256).digest()
            signature = hmac.new(derived, text.encode(), hashlib.sha256).hexdigest()
            answers = []
            client = mqtt.Client(client_id=client_id, transport="websockets", protocol=mqtt.MQTTv5)
            client.ws_set_options(path=f"/mqtt?{query}&X-Amz-Signature={signature}", headers={"Host": host})
            client.tls_set(ca_certs=self.server.ca)
            client.on_connect = lambda c, d, f, reason, p: answers.append(getattr(reason, "value", reason))
            client.connect("localhost", self.server.port("https"))
            client.loop_start()
            wait_until(lambda: answers)
            return client, answers[0]

        client, reason = connect("socket")
        self.assertEqual(reason, 0)
        client.publish("from/socket", b"x", qos=1).wait_for_publish(20)
        listener.wait(1)
        lost = []
        client.on_disconnect = lambda *_: lost.append(True)
        other, reason = connect("somebody-else")
        self.assertEqual(reason, 0x87)
        other.loop_stop()
        # What its policies say by now counts within a second, and the connection stays.
        watcher = Subscriber(self.server, "from/#", "mark", client_id="watcher")

        def delivered(topic):
            watcher.messages.clear()
            client.publish(topic, b"y", qos=1).wait_for_publish(20)
            watcher.publish("mark", b"")
            wait_until(lambda: "mark" in [each.topic for each in watcher.messages])
            return topic in [each.topic for each in watcher.messages]

        self.assertTrue(delivered("from/elsewhere"))
        self.iot.create_policy_version(policyName="socket", setAsDefault=True, policyDocument=policy(
            ("Allow", "iot:Connect", ARN + "client/socket"), ("Allow", "iot:Publish", ARN + "topic/from/socket")))
        wait_until(lambda: not delivered("from/elsewhere"), 1)
        self.assertTrue(delivered("from/socket"))
        self.iot.detach_policy(policyName="socket", target="arn:aws:iam::000000000000:user/socket")
        wait_until(lambda: not delivered("from/socket"), 1)
        self.iot.attach_policy(policyName="socket", target="arn:aws:iam::000000000000:user/socket")
        wait_until(lambda: delivered("from/socket"), 1)
        self.assertEqual(lost, [])
        watcher.close()
        # A key that is revoked takes its connections with it.
        self.assertEqual(self.signed("DELETE", f"/_iotcore/access-keys/{key['accessKeyId']}")[0], 200)
        wait_until(lambda: lost, 10)
        client.loop_stop()
        listener.close()

    def test_what_is_not_there_says_so(self):
        status, error, body = self.signed("GET", "/audit/tasks")
        self.assertEqual((status, error), (501, "NotImplementedException"))
        self.assertIn("ListAuditTasks", body["message"])
        self.assertEqual(self.signed("GET", "/no/such/path")[:2], (404, "UnknownOperationException"))

    def test_every_call_is_in_the_audit_log(self):
        path = self.server.path("audit.log")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.iot.create_thing(thingName="audited")
        self.refused("ResourceNotFoundException", 404, self.iot.describe_thing, thingName="not-audited")
        self.signed("GET", "/things", secret="x" * 40)

        def lines():
            with open(path) as file:
                return [json.loads(line) for line in file]

        wait_until(lambda: any(each.get("error") == "InvalidSignatureException" and each["operation"] == "ListThings" for each in lines()))
        created = [each for each in lines() if each["operation"] == "CreateThing" and each["resources"] == [ARN + "thing/audited"]][0]
        self.assertEqual(created["caller"], "operator")
        self.assertEqual(created["arn"], "arn:aws:iam::000000000000:user/admin")
        self.assertEqual(created["accessKeyId"], self.key)
        self.assertEqual(created["status"], 200)
        self.assertEqual(created["sourceIp"], "127.0.0.1")
        self.assertIn("Boto3", created["userAgent"])
        missing = [each for each in lines() if each["resources"] == [ARN + "thing/not-audited"]][0]
        self.assertEqual((missing["status"], missing["error"]), (404, "ResourceNotFoundException"))
        with open(path) as file:
            self.assertNotIn(self.secret, file.read())


if __name__ == "__main__":
    unittest.main(warnings="ignore")
