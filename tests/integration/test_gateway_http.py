"""Gateway checks 68 to 84: signatures, HTTPS publish, and the connections of clients. 71 to 73 and 76 to 79 are in test_identity_*.py; 68 to 70 with AWS's own
vectors and a clock that stands still in tests/unit/net."""
import base64
import datetime
import hashlib
import hmac
import http.client
import http.server
import json
import threading
import time
import unittest
import urllib.parse

from gateway_checks import Checks
from identity import ARN
from mqtt_wire import PUBLISH
from test_identity_authorizers import LAMBDA, Function
from test_transports import administrator, upgrade_status


def sign(method, host, path, query, headers, body, credentials, service, when=None, region="us-east-1", token_signed=True):
    """The canonical request of an independent signer, by the book."""
    when = when or datetime.datetime.utcnow()
    stamp = when.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"

    def quote(value):
        return urllib.parse.quote(value, safe="-._~")
    canonical_query = "&".join(sorted(f"{quote(name)}={quote(value)}" for name, value in query.items()))
    names = sorted(headers)
    canonical = "\n".join([method, "/".join(quote(part) for part in path.split("/")), canonical_query,
                           "".join(f"{name}:{headers[name]}\n" for name in names), ";".join(names), hashlib.sha256(body).hexdigest()])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + credentials.secret_key).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    return scope, ";".join(names), hmac.new(key, to_sign.encode(), "sha256").hexdigest()


class Http(Checks):
    @classmethod
    def setUpClass(cls):
        cls.function = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Function)
        threading.Thread(target=cls.function.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.function.shutdown)
        cls.SETTINGS = (f"authorizers.functions=web=http://127.0.0.1:{cls.function.server_port}/ask",)
        super().setUpClass()
        cls.credentials = administrator(cls.server)
        cls.host = f"localhost:{cls.server.port('https')}"
        cls.data = cls.server.api("iot-data")

    def signed_post(self, spoil=False):
        stamp = datetime.datetime.utcnow()
        headers = {"host": self.host, "x-amz-date": stamp.strftime("%Y%m%dT%H%M%SZ")}
        scope, names, signature = sign("POST", self.host, "/topics/a%2Fb", {"qos": "1"}, headers, b"hello", self.credentials, "iotdata", stamp)
        if spoil:
            signature = ("0" if signature[0] != "0" else "1") + signature[1:]
        headers["Authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.credentials.access_key}/{scope}, SignedHeaders={names}, "
                                    f"Signature={signature}")
        return self.https("POST", "/topics/a%2Fb?qos=1", b"hello", headers)[0]

    def test_g68_a_signature_in_headers(self):
        self.assertEqual(self.signed_post(), 200)
        self.assertEqual(self.signed_post(spoil=True), 403)

    def signed_upgrade(self, token=None, token_signed=False):
        credentials = self.credentials
        if token:
            made = self.session()
            credentials = type(self.credentials)(made["accessKeyId"], made["secretAccessKey"])
        stamp = datetime.datetime.utcnow()
        query = {"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Date": stamp.strftime("%Y%m%dT%H%M%SZ"), "X-Amz-Expires": "86400",
                 "X-Amz-SignedHeaders": "host",
                 "X-Amz-Credential": f"{credentials.access_key}/{stamp:%Y%m%d}/us-east-1/iotdevicegateway/aws4_request"}
        if token and token_signed:
            query["X-Amz-Security-Token"] = made["sessionToken"]
        _, _, signature = sign("GET", self.host, "/mqtt", query, {"host": self.host}, b"", credentials, "iotdevicegateway", stamp)
        query["X-Amz-Signature"] = signature
        if token and not token_signed:
            query["X-Amz-Security-Token"] = made["sessionToken"]
        return upgrade_status(self.server, "/mqtt?" + urllib.parse.urlencode(query, quote_via=urllib.parse.quote))

    def session(self):
        stamp = datetime.datetime.utcnow()
        headers = {"host": self.host, "x-amz-date": stamp.strftime("%Y%m%dT%H%M%SZ")}
        scope, names, signature = sign("POST", self.host, "/_iotcore/sessions", {}, headers, b"{}", self.credentials, "iot", stamp)
        headers["Authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.credentials.access_key}/{scope}, SignedHeaders={names}, "
                                    f"Signature={signature}")
        status, _, body = self.https("POST", "/_iotcore/sessions", b"{}", headers)
        self.assertEqual(status, 200, body)
        return json.loads(body)["credentials"]

    def test_g69_a_token_behind_the_signature(self):
        self.assertEqual(self.signed_upgrade(), 101)
        self.assertEqual(self.signed_upgrade(token=True), 101)

    def test_g70_a_token_within_the_signed_query(self):
        self.assertEqual(self.signed_upgrade(token=True, token_signed=True), 101)

    def test_g74_g75_times_of_an_authorizer_s_answer(self):
        # With a clock that is moved, in tests/unit/registry/authorizer_test.cpp; here, that the answer's times are taken at all.
        Function.answer = {"isAuthenticated": True, "principalId": "p", "policyDocuments": [self.document(("Allow", "iot:*", "*"))],
                           "disconnectAfterInSeconds": 300, "refreshAfterInSeconds": 300}
        self.iot.create_authorizer(authorizerName="g74", authorizerFunctionArn=LAMBDA + "web", signingDisabled=True, status="ACTIVE")
        got = self.client("g74", tls=(), face="https", alpn="mqtt", user="u?x-amz-customauthorizer-name=g74")
        self.assertEqual(got.connack.reason, 0)
        tried = self.iot.test_invoke_authorizer(authorizerName="g74")
        self.assertEqual((tried["refreshAfterInSeconds"], tried["disconnectAfterInSeconds"]), (300, 300))

    def test_g80_a_certificate_s_id_is_its_fingerprint(self):
        pem = self.pki.ca("g80", is_ca=False)
        made = self.iot.register_certificate_without_ca(certificatePem=pem)
        self.assertEqual(made["certificateId"], self.pki.fingerprint("g80"))

    def test_g81_publish_with_everything(self):
        _, tls, _ = self.device(("Allow", ["iot:Publish", "iot:RetainPublish"], ARN + "topic/g81/*"))
        sub = self.plain("g81", version=5)
        sub.subscribe("g81/#")
        user = base64.b64encode(json.dumps([{"k": "v"}]).encode()).decode()

        def publish(path, user=user):
            return self.https("POST", path, b"x", {"x-amz-mqtt5-user-properties": user}, tls=tls)[0]
        self.assertEqual(publish("/topics/g81%2Fb?qos=1&retain=true&messageExpiry=60&responseTopic=r"), 200)
        got = sub.receive(PUBLISH)
        self.assertEqual((got.topic, got.properties["user"], got.properties["response_topic"]), ("g81/b", [("k", "v")], "r"))
        self.assertLessEqual(got.properties["message_expiry"], 60)
        self.assertEqual([publish("/topics/g81%2Fb?qos=3"), publish("/topics/g81%2Fb?qos=1", "no base64!"), publish("/topics/g81%2F%2B?qos=1")],
                         [400] * 3)
        self.assertEqual(publish("/topics/other?qos=1"), 403)

    def test_g82_a_connection_is_deleted(self):
        events, will = self.listener("$aws/events/presence/disconnected/g82"), self.listener("g82/will")
        got = self.plain("g82", version=5, clean=False, session_expiry=600, will=("g82/will", "w", 1, False))
        path = "/connections/g82?cleanSession=TRUE&preventWillMessage=TRUE"
        self.assertEqual(self.operator("DELETE", path)[0], 200)
        self.assertIsNotNone(got.ended())
        self.event(events, disconnectReason="API_INITIATED_DISCONNECT")
        self.assertFalse(self.plain("g82", version=5, clean=False, session_expiry=0).connack.session_present)
        self.assertEqual(will.messages, [])
        self.assertEqual(self.operator("DELETE", "/connections/g82-absent")[0], 404)

    def operator(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port("http"), timeout=30)
        connection.request(method, path, body)
        reply = connection.getresponse()
        out = reply.status, json.loads(reply.read() or b"{}")
        connection.close()
        return out

    def test_g83_a_message_straight_to_a_client(self):
        name, tls, _ = self.device(("Allow", "iot:Connect", "*"), ("Allow", "iot:Receive", ARN + "topic/g83"))
        got = self.client(name, tls)
        path = f"/connections/{name}/messages?topic=g83&confirmation=true&timeout=2"
        sent = {}
        thread = threading.Thread(target=lambda: sent.update(answer=self.operator("POST", path, b"x")))
        thread.start()
        self.assertEqual(got.receive(PUBLISH).payload, b"x")
        thread.join()
        self.assertEqual(sent["answer"][0], 200)
        got.acknowledge = False
        began = time.monotonic()
        self.assertEqual(self.operator("POST", path, b"x")[0], 504)
        self.assertGreater(time.monotonic() - began, 1.5)
        self.assertEqual(self.operator("POST", path.replace("topic=g83", "topic=other"), b"x")[0], 403)
        self.assertEqual(self.operator("POST", "/connections/g83-absent/messages?topic=g83", b"x")[0], 404)

    def test_g84_subscriptions_are_listed(self):
        got = self.plain("g84")
        filters = [f"g84/{number:02}" for number in range(25)]
        got.subscribe(*filters)
        status, page = self.operator("GET", "/connections/g84/subscriptions")
        self.assertEqual((status, len(page["subscriptions"])), (200, 20))
        _, rest = self.operator("GET", "/connections/g84/subscriptions?nextToken=" + urllib.parse.quote(page["nextToken"]))
        self.assertNotIn("nextToken", rest)
        self.assertEqual([each["topicFilter"] for each in page["subscriptions"] + rest["subscriptions"]], filters)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
