"""Custom authorizers: their records, their functions behind HTTP and as programs, over MQTT, WebSocket and HTTPS."""
import base64
import hmac
import http.client
import http.server
import json
import ssl
import subprocess
import threading
import unittest
import urllib.parse

import paho.mqtt.client as mqtt

from identity import ARN, Pki, Refusals, policy
from server import Server, Subscriber, wait_until

LAMBDA = "arn:aws:lambda:us-east-1:000000000000:function:"
PROGRAM = """
import json, sys
event = json.load(sys.stdin)
user = event["protocolData"]["mqtt"]["username"]
print(json.dumps({"isAuthenticated": user.startswith("good"), "principalId": "program", "policyDocuments": [json.load(open(sys.argv[1]))]}))
"""


class Function(http.server.BaseHTTPRequestHandler):
    """Answers what the test has set; keeps what it was asked."""
    events = []
    signatures = []
    answer = {}

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"]))
        Function.events.append(json.loads(text))
        Function.signatures.append((self.headers.get("x-signature"), text))
        body = json.dumps(Function.answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Authorizers(Refusals, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.function = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Function)
        threading.Thread(target=cls.function.serve_forever, daemon=True).start()
        cls.pki = Pki()
        # A program's arguments are words, and the list of functions is cut at commas: the policy comes from a file.
        for name, text in (("program.py", PROGRAM), ("policy.json", policy(("Allow", "iot:*", "*")))):
            with open(cls.pki.path(name), "w") as file:
                file.write(text)
        cls.server = Server(settings=["http.allow=127.0.0.1",
            f"authorizers.functions=web=http://127.0.0.1:{cls.function.server_port}/ask,"
            f"program=/usr/bin/python3 {cls.pki.path('program.py')} {cls.pki.path('policy.json')}"])
        cls.iot = cls.server.api()
        cls.pki.run("genrsa", "-out", "token.key", "2048")
        cls.pki.run("rsa", "-in", "token.key", "-pubout", "-out", "token.pub")

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.function.shutdown()

    def setUp(self):
        Function.events.clear()
        Function.answer = {"isAuthenticated": True, "principalId": "abc123", "policyDocuments": [
            json.loads(policy(("Allow", "iot:Connect", "*"), ("Allow", "iot:Publish", ARN + "topic/${iot:ClientId}/*")))],
            "disconnectAfterInSeconds": 86400, "refreshAfterInSeconds": 300}

    def create(self, name, function="web", **options):
        options.setdefault("signingDisabled", True)
        options.setdefault("status", "ACTIVE")
        self.iot.create_authorizer(authorizerName=name, authorizerFunctionArn=LAMBDA + function, **options)

    def connect(self, user, password="secret", client_id="dev", transport="tcp"):
        """The client, connected or not, and CONNACK's code."""
        answers = []
        client = mqtt.Client(client_id=client_id, protocol=mqtt.MQTTv5, transport=transport)
        context = ssl.create_default_context(cafile=self.server.ca)
        if transport == "tcp":
            context.set_alpn_protocols(["mqtt"])
        else:
            client.ws_set_options(path="/mqtt?" + user.partition("?")[2])
            user = user.partition("?")[0]
        client.tls_set_context(context)
        client.username_pw_set(user, password)
        client.on_connect = lambda c, d, f, reason, p: answers.append(getattr(reason, "value", reason))
        client.connect("localhost", self.server.port("https"))
        client.loop_start()
        self.addCleanup(client.loop_stop)
        wait_until(lambda: answers)
        return client, answers[0]

    def sign(self, token):
        done = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.pki.path("token.key")], input=token.encode(), capture_output=True, check=True)
        return base64.b64encode(done.stdout).decode()

    def test_a_function_knows_who_asks(self):
        self.create("signed")
        self.create("unsigned")
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port("http"), timeout=30)
        connection.request("PUT", "/_iotcore/secrets/authorizer/signed", json.dumps({"secretString": "shared by both"}))
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()
        for name in ("signed", "unsigned"):
            Function.signatures.clear()
            self.assertEqual(self.connect(f"u?x-amz-customauthorizer-name={name}", client_id=f"knows-{name}")[1], 0)
            self.iot.test_invoke_authorizer(authorizerName=name)
            self.assertEqual(len(Function.signatures), 2)
            for signature, text in Function.signatures:
                wanted = hmac.new(b"shared by both", text, "sha256").hexdigest() if name == "signed" else None
                self.assertEqual(signature, wanted)

    def test_what_was_answered_before_a_change_counts_no_more(self):
        self.create("cached", enableCachingForHttp=True)

        def publish():
            connection = http.client.HTTPSConnection("localhost", self.server.port("https"), context=ssl.create_default_context(cafile=self.server.ca))
            connection.request("POST", "/topics/dev%2Ft?qos=1", b"x", {"x-amz-customauthorizer-name": "cached"})
            status = connection.getresponse().status
            connection.close()
            return status
        Function.answer["policyDocuments"] = [json.loads(policy(("Allow", "iot:Publish", "*")))]
        self.assertEqual([publish(), publish()], [200, 200])
        self.assertEqual(len(Function.events), 1)
        Function.answer["policyDocuments"] = [json.loads(policy(("Allow", "iot:Connect", "*")))]
        self.assertEqual(publish(), 200)
        self.iot.update_authorizer(authorizerName="cached", authorizerFunctionArn=f"http://127.0.0.1:{self.function.server_port}/other")
        self.assertEqual(publish(), 403)
        self.assertEqual(len(Function.events), 2)

    def test_records(self):
        keys = {"first": self.pki.read("token.pub")}
        create = self.iot.create_authorizer
        self.refused("InvalidRequestException", 400, create, authorizerName="r", authorizerFunctionArn=LAMBDA + "web")
        for function in ("nonsense", "/bin/sh -c id", "file:///etc/passwd", "https://169.254.169.254/latest/meta-data", "https://2130706434/", "http://[::1]/", "https://10.0.0.1/"):
            self.refused("InvalidRequestException", 400, create, authorizerName="r", authorizerFunctionArn=function, signingDisabled=True)
        self.refused("InvalidRequestException", 400, create, authorizerName="r", authorizerFunctionArn=LAMBDA + "web",
                     tokenKeyName="t", tokenSigningPublicKeys={"first": "no key"})
        made = create(authorizerName="r", authorizerFunctionArn=LAMBDA + "web", tokenKeyName="t", tokenSigningPublicKeys=keys)
        self.assertEqual(made, dict(made, authorizerName="r", authorizerArn=ARN + "authorizer/r"))
        self.refused("ResourceAlreadyExistsException", 409, create, authorizerName="r", authorizerFunctionArn=LAMBDA + "web", signingDisabled=True)
        described = self.iot.describe_authorizer(authorizerName="r")["authorizerDescription"]
        self.assertEqual((described["status"], described["tokenKeyName"], described["tokenSigningPublicKeys"], described["signingDisabled"]),
                         ("INACTIVE", "t", keys, False))
        self.refused("ResourceNotFoundException", 404, self.iot.describe_default_authorizer)
        self.refused("ResourceNotFoundException", 404, self.iot.set_default_authorizer, authorizerName="absent")
        self.create("r2")
        self.iot.set_default_authorizer(authorizerName="r2")
        self.iot.set_default_authorizer(authorizerName="r")
        self.refused("ResourceAlreadyExistsException", 409, self.iot.set_default_authorizer, authorizerName="r")
        self.assertEqual(self.iot.describe_default_authorizer()["authorizerDescription"]["authorizerName"], "r")
        self.iot.update_authorizer(authorizerName="r", status="ACTIVE")
        self.refused("DeleteConflictException", 409, self.iot.delete_authorizer, authorizerName="r")
        self.iot.update_authorizer(authorizerName="r", status="INACTIVE", enableCachingForHttp=True)
        self.refused("DeleteConflictException", 409, self.iot.delete_authorizer, authorizerName="r")
        self.iot.clear_default_authorizer()
        self.refused("ResourceNotFoundException", 404, self.iot.clear_default_authorizer)
        self.assertIn("r2", [each["authorizerName"] for each in self.iot.list_authorizers(status="ACTIVE")["authorizers"]])
        inactive = [each["authorizerName"] for each in self.iot.list_authorizers(status="INACTIVE")["authorizers"]]
        self.assertIn("r", inactive)
        self.assertNotIn("r2", inactive)
        self.iot.delete_authorizer(authorizerName="r")
        self.refused("ResourceNotFoundException", 404, self.iot.describe_authorizer, authorizerName="r")
        self.refused("ResourceNotFoundException", 404, self.iot.update_authorizer, authorizerName="r")
        self.refused("ResourceNotFoundException", 404, self.iot.delete_authorizer, authorizerName="r")

    def test_a_signing_key_takes_over_from_another_and_there_are_two_at_most(self):
        key = self.pki.read("token.pub")

        def keys_after(**keys):
            self.iot.update_authorizer(authorizerName="keys", tokenSigningPublicKeys=keys)
            return set(self.iot.describe_authorizer(authorizerName="keys")["authorizerDescription"]["tokenSigningPublicKeys"])
        options = {"authorizerName": "keys", "authorizerFunctionArn": LAMBDA + "web", "tokenKeyName": "t"}
        create = self.iot.create_authorizer
        self.refused("InvalidRequestException", 400, create, **options, tokenSigningPublicKeys={"a": key}, signingDisabled=True)
        self.refused("InvalidRequestException", 400, create, **options, tokenSigningPublicKeys=dict.fromkeys("abc", key))
        create(**options, tokenSigningPublicKeys={"a": key})
        self.assertEqual(keys_after(b=key), {"a", "b"})
        self.assertEqual(keys_after(b=key + "\n"), {"a", "b"})
        self.refused("InvalidRequestException", 400, self.iot.update_authorizer, authorizerName="keys", tokenSigningPublicKeys={"c": key})
        self.create("without")
        self.refused("InvalidRequestException", 400, self.iot.update_authorizer, authorizerName="without", tokenSigningPublicKeys={"a": key})

    def test_g05_a_function_decides_on_a_connection(self):
        self.create("plain")
        client, reason = self.connect("user?x-amz-customauthorizer-name=plain&SDK=x")
        self.assertEqual(reason, 0)
        event = Function.events[0]
        self.assertEqual(event["protocols"], ["tls", "mqtt"])
        self.assertEqual(event["protocolData"]["mqtt"], {"username": "user?x-amz-customauthorizer-name=plain&SDK=x",
                                                         "password": base64.b64encode(b"secret").decode(), "clientId": "dev"})
        self.assertEqual(event["protocolData"]["tls"], {"serverName": "localhost"})
        self.assertFalse(event["signatureVerified"])
        self.assertNotIn("token", event)
        seen = Subscriber(self.server, "#")
        client.publish("dev/t", b"x", qos=1).wait_for_publish(20)
        seen.wait(1)
        codes = []
        client.on_publish = lambda c, d, mid: codes.append(mid)
        client.publish("other/t", b"x", qos=1)
        wait_until(lambda: codes)
        self.assertEqual([message.topic for message in seen.messages], ["dev/t"])
        seen.close()

    def test_g73_answers_that_are_not_right_let_nobody_in(self):
        self.create("strange")
        user = "u?x-amz-customauthorizer-name=strange"
        document = Function.answer["policyDocuments"][0]
        for change in ({"principalId": "a-b"}, {"isAuthenticated": False}, {"policyDocuments": [document] * 11},
                       {"policyDocuments": ["{"]}, {"policyDocuments": []}, {"isAuthenticated": "yes"}):
            before = dict(Function.answer)
            Function.answer = dict(before, **change)
            self.assertEqual(self.connect(user)[1], 0x87, change)
            Function.answer = before
        self.assertEqual(self.connect("u?x-amz-customauthorizer-name=absent")[1], 0x87)
        self.assertEqual(self.connect("u")[1], 0x87)
        self.iot.update_authorizer(authorizerName="strange", status="INACTIVE")
        self.assertEqual(self.connect(user)[1], 0x87)

    def test_g72_tokens_are_signed(self):
        self.create("signing", signingDisabled=False, tokenKeyName="mytoken", tokenSigningPublicKeys={"k": self.pki.read("token.pub")})
        token = "tok+1/="
        signature = self.sign(token)
        base = "u?x-amz-customauthorizer-name=signing&mytoken="
        quoted = urllib.parse.quote(token, safe="")
        self.assertEqual(self.connect(f"{base}{quoted}&x-amz-customauthorizer-signature={urllib.parse.quote(signature, safe='')}")[1], 0)
        self.assertEqual((Function.events[-1]["token"], Function.events[-1]["signatureVerified"]), (token, True))
        self.assertEqual(self.connect(f"{base}{token}&x-amz-customauthorizer-signature={signature}")[1], 0)
        calls = len(Function.events)
        self.assertEqual(self.connect(f"{base}{quoted}&x-amz-customauthorizer-signature={urllib.parse.quote(self.sign('other'), safe='')}")[1], 0x87)
        self.assertEqual(self.connect(f"{base}{quoted}")[1], 0x87)
        self.assertEqual(len(Function.events), calls)

    def test_a_program_stands_for_a_function(self):
        self.create("local", function="program")
        self.assertEqual(self.connect("good?x-amz-customauthorizer-name=local")[1], 0)
        self.assertEqual(self.connect("bad?x-amz-customauthorizer-name=local")[1], 0x87)
        self.create("nowhere", function="unknown")
        self.assertEqual(self.connect("good?x-amz-customauthorizer-name=nowhere")[1], 0x87)

    def test_websockets_and_https(self):
        self.create("http", tokenKeyName="mytoken")
        client, reason = self.connect("u?x-amz-customauthorizer-name=http&mytoken=t", transport="websockets")
        self.assertEqual(reason, 0)
        self.assertEqual(Function.events[0]["protocols"], ["tls", "http", "mqtt"])
        self.assertEqual(Function.events[0]["token"], "t")
        self.assertEqual(Function.events[0]["protocolData"]["http"]["queryString"], "?x-amz-customauthorizer-name=http&mytoken=t")

        def post(topic, headers):
            context = ssl.create_default_context(cafile=self.server.ca)
            connection = http.client.HTTPSConnection("localhost", self.server.port("https"), context=context, timeout=20)
            connection.request("POST", "/topics/" + topic, b"x", headers)
            status = connection.getresponse().status
            connection.close()
            return status

        Function.answer["policyDocuments"] = [json.loads(policy(("Allow", "iot:Publish", ARN + "topic/web")))]
        headers = {"x-amz-customauthorizer-name": "http", "mytoken": "t"}
        self.assertEqual(post("web", headers), 200)
        self.assertEqual(Function.events[-1]["protocolData"]["http"]["headers"]["mytoken"], "t")
        self.assertEqual(post("else", headers), 403)
        self.assertEqual(post("web", {}), 403)
        self.assertEqual(post("web?x-amz-customauthorizer-name=http&mytoken=t", {}), 200)
        calls = len(Function.events)
        self.iot.update_authorizer(authorizerName="http", enableCachingForHttp=True)
        for _ in range(3):
            self.assertEqual(post("web", headers), 200)
        self.assertEqual(len(Function.events), calls + 1)
        self.iot.set_default_authorizer(authorizerName="http")
        self.assertEqual(post("web", {}), 200)
        self.iot.clear_default_authorizer()

    def test_an_authorizer_is_tried_without_a_connection(self):
        self.create("tried", tokenKeyName="mytoken")
        answer = self.iot.test_invoke_authorizer(
            authorizerName="tried", token="t", mqttContext={"username": "u", "password": b"p", "clientId": "c"},
            httpContext={"headers": {"a": "b"}, "queryString": "?x=y"}, tlsContext={"serverName": "host"})
        self.assertEqual((answer["isAuthenticated"], answer["principalId"], answer["refreshAfterInSeconds"], answer["disconnectAfterInSeconds"]),
                         (True, "abc123", 300, 86400))
        self.assertEqual(json.loads(answer["policyDocuments"][0]), Function.answer["policyDocuments"][0])
        event = Function.events[0]
        self.assertEqual(event["protocols"], ["tls", "http", "mqtt"])
        self.assertEqual(event["protocolData"], {"tls": {"serverName": "host"}, "http": {"headers": {"a": "b"}, "queryString": "?x=y"},
                                                 "mqtt": {"username": "u", "password": base64.b64encode(b"p").decode(), "clientId": "c"}})
        Function.answer = {"isAuthenticated": False}
        self.assertEqual(self.iot.test_invoke_authorizer(authorizerName="tried", token="t")["isAuthenticated"], False)
        Function.answer = {"isAuthenticated": True, "principalId": "-"}
        self.refused("InvalidResponseException", 400, self.iot.test_invoke_authorizer, authorizerName="tried")
        self.refused("ResourceNotFoundException", 404, self.iot.test_invoke_authorizer, authorizerName="absent")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
