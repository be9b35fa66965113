"""Gateway checks 1 to 17: transport and connect."""
import base64
import http.server
import json
import re
import socket
import ssl
import threading
import time
import unittest

from contract import Caller, Model
from gateway_checks import BOTH, Checks
from identity import ARN
from mqtt_wire import PUBLISH, Client
from server import Server
from test_identity_authorizers import Function, LAMBDA
from test_transports import administrator, signed_path, tls_context, upgrade_status


class Connect(Checks):
    @classmethod
    def setUpClass(cls):
        cls.function = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Function)
        threading.Thread(target=cls.function.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.function.shutdown)
        cls.SETTINGS = (f"authorizers.functions=web=http://127.0.0.1:{cls.function.server_port}/ask",)
        super().setUpClass()

    def test_g01_a_certificate_connects_and_presence_is_told(self):
        name, tls, arn = self.device()
        events = self.listener(f"$aws/events/presence/connected/{name}")
        for version in BOTH:
            events.messages.clear()
            with self.subTest(version=version):
                connected = self.client(name, tls, version=version)
                self.assertEqual(connected.connack.reason, 0)
                event = self.event(events, clientId=name)
                self.assertEqual(event["eventType"], "connected")
                self.assertEqual(event["principalIdentifier"], arn.split("/")[1])
                self.assertEqual(event["ipAddress"], "127.0.0.1")
                self.assertLess(abs(event["timestamp"] / 1000 - time.time()), 60)
                self.assertTrue(event["sessionIdentifier"])
                self.assertIsInstance(event["versionNumber"], int)
                connected.disconnect()

    def test_g02_alpn_chooses_mqtt_with_a_certificate(self):
        name, tls, _ = self.device()
        self.assertEqual(self.client(name, tls, face="https", alpn="x-amzn-mqtt-ca").connack.reason, 0)

    def test_g03_a_signed_websocket_needs_no_certificate(self):
        self.assertEqual(upgrade_status(self.server, signed_path(self.server, administrator(self.server))), 101)

    def test_g04_alpn_chooses_https_with_a_certificate(self):
        _, tls, _ = self.device()
        listener = self.listener("g04")
        status, _, body = self.https("POST", "/topics/g04?qos=1", b"x", tls=tls, alpn="x-amzn-http-ca")
        self.assertEqual(status, 200, body)
        answer = json.loads(body)
        self.assertEqual(answer["message"], "OK")
        self.assertTrue(answer["traceId"])
        self.assertEqual(listener.wait(1)[0].payload, b"x")

    def test_g05_a_custom_authorizer_under_the_alpn_name_mqtt(self):
        Function.events.clear()
        Function.answer = {"isAuthenticated": True, "principalId": "p", "policyDocuments": [self.document(("Allow", "iot:*", "*"))]}
        self.iot.create_authorizer(authorizerName="g05", authorizerFunctionArn=LAMBDA + "web", signingDisabled=True, status="ACTIVE")
        got = self.client("g05", tls=(), face="https", alpn="mqtt", user="u?x-amz-customauthorizer-name=g05", password=b"\x00secret")
        self.assertEqual(got.connack.reason, 0)
        asked = Function.events[-1]["protocolData"]["mqtt"]
        self.assertEqual(base64.b64decode(asked["password"]), b"\x00secret")

    def test_g06_the_host_chooses_the_configuration(self):
        create = self.iot.create_domain_configuration
        create(domainConfigurationName="first", domainName="first.example.com")
        create(domainConfigurationName="second", domainName="second.example.com")
        name, tls, _ = self.device()
        self.assertEqual(self.client(name, tls, sni="second.example.com").connack.reason, 0)
        with self.assertRaises(OSError):
            self.client(name, tls, sni="unknown.example.com")
        self.assertEqual(self.client(name, tls, sni=None).connack.reason, 0)

    def test_g06_what_a_configuration_says_is_enforced(self):
        # By signed requests of our own: Debian's SDK does not know these members yet.
        caller = Caller(self.server.port("http"), Model())

        def configure(operation, **parameters):
            reply = caller.call("iot", operation, parameters)
            self.assertEqual(reply.status, 200, reply.body)
        name, tls, _ = self.device()
        configure("CreateDomainConfiguration", domainConfigurationName="mqtt", domainName="mqtt.example.com", authenticationType="AWS_X509",
                  applicationProtocol="SECURE_MQTT", tlsConfig={"securityPolicy": "IoTSecurityPolicy_TLS13_1_3_2022_10"})
        self.assertEqual(self.client(name, tls, sni="mqtt.example.com").connack.reason, 0)
        # Not by HTTPS, and not by TLS 1.2.
        self.assertEqual(self.https("POST", "/topics/t?qos=1", b"x", tls=tls, sni="mqtt.example.com")[0], 403)
        self.assertEqual(self.https("POST", "/topics/t?qos=1", b"x", tls=tls)[0], 200)
        context = tls_context(self.server, tls)
        context.check_hostname = False
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        for host, goes in (("mqtt.example.com", False), ("localhost", True)):
            with socket.create_connection(("127.0.0.1", self.server.port("mqtts")), timeout=20) as raw:
                try:
                    context.wrap_socket(raw, server_hostname=host).close()
                    self.assertTrue(goes, host)
                except ssl.SSLError:
                    self.assertFalse(goes, host)
        # Nobody without a certificate, even if an authorizer would let them in.
        self.assertEqual(self.client("x", tls=(), sni="mqtt.example.com", user="u?x-amz-customauthorizer-name=g05").connack.reason, 5)
        configure("UpdateDomainConfiguration", domainConfigurationName="mqtt", domainConfigurationStatus="DISABLED")
        self.assertEqual(self.client(name, tls, sni="mqtt.example.com").connack.reason, 5)
        self.logged("connection.authn_error", "DOMAIN_CONFIGURATION_DISABLED")

    def test_a_certificate_and_an_authorizer_together(self):
        caller = Caller(self.server.port("http"), Model())
        self.iot.create_authorizer(authorizerName="both", authorizerFunctionArn=LAMBDA + "web", signingDisabled=True, status="ACTIVE")
        reply = caller.call("iot", "CreateDomainConfiguration", {
            "domainConfigurationName": "both", "domainName": "both.example.com", "authenticationType": "CUSTOM_AUTH_X509",
            "applicationProtocol": "SECURE_MQTT", "authorizerConfig": {"defaultAuthorizerName": "both"}})
        self.assertEqual(reply.status, 200, reply.body)
        name, tls, arn = self.device(("Allow", "iot:Connect", "*"), ("Allow", "iot:Publish", ARN + "topic/by/certificate"))
        certificate = arn.split("/")[1]
        Function.events.clear()
        Function.answer = {"isAuthenticated": True, "principalId": certificate, "policyDocuments": [
            self.document(("Allow", "iot:Publish", ARN + "topic/by/authorizer"))]}
        got = self.client(name, tls, version=5, sni="both.example.com")
        self.assertEqual(got.connack.reason, 0)
        asked = Function.events[-1]["protocolData"]["tls"]
        self.assertEqual((asked["serverName"], asked["principalId"]), ("both.example.com", certificate))
        self.assertIn("BEGIN CERTIFICATE", asked["x509CertificatePem"])
        # Both give rights, and both may change.
        self.assertEqual([got.published(f"by/{who}").reason & 0x80 for who in ("certificate", "authorizer", "nobody")], [0, 0, 0x80])
        self.set_policy(f"policy-{name}", ("Allow", "iot:Connect", "*"))
        self.eventually(lambda: got.published("by/certificate").reason == 0x87)
        self.assertEqual(got.published("by/authorizer").reason & 0x80, 0)
        # Another principal, a certificate that is not in force, no certificate: nobody comes in, and the last two are not asked about.
        Function.answer = dict(Function.answer, principalId="other")
        self.assertEqual(self.client(name, tls, version=5, sni="both.example.com").connack.reason, 0x87)
        Function.events.clear()
        self.iot.update_certificate(certificateId=certificate, newStatus="INACTIVE")
        self.assertEqual(self.client(name, tls, version=5, sni="both.example.com").connack.reason, 0x87)
        self.assertEqual(self.client(name, (), version=5, sni="both.example.com").connack.reason, 0x87)
        self.assertEqual(Function.events, [])

    def test_g07_a_certificate_of_no_ca(self):
        pem = self.pki.ca("g07", is_ca=False)
        made = self.iot.register_certificate_without_ca(certificatePem=pem, status="ACTIVE")
        self.iot.create_policy(policyName="g07", policyDocument=json.dumps(self.document(("Allow", "iot:*", "*"))))
        self.iot.attach_policy(policyName="g07", target=made["certificateArn"])
        self.assertEqual(self.client("g07", self.pki.files("g07")).connack.reason, 0)

    def test_g08_certificates_that_let_nobody_in(self):
        def registered(name, status, days="30"):
            pem = self.pki.ca(name, is_ca=False) if days == "30" else self.expired(name)
            self.iot.register_certificate_without_ca(certificatePem=pem, status=status)
            return self.pki.files(name)
        self.pki.ca("g08-unknown", is_ca=False)
        for files, code in [(registered("g08-inactive", "INACTIVE"), "DEVICE_CERTIFICATE_INACTIVE"),
                            (registered("g08-revoked", "REVOKED"), "DEVICE_CERTIFICATE_REVOKED"),
                            (self.pki.files("g08-unknown"), "DEVICE_CERTIFICATE_NOT_REGISTERED"),
                            (registered("g08-expired", "ACTIVE", "expired"), "NOT_AUTHENTICATED")]:
            for version, reason in ((4, 5), (5, 0x87)):
                with self.subTest(code=code, version=version):
                    got = self.client(f"{code}{version}", files, version=version)
                    self.assertEqual(got.connack.reason, reason)
                    self.assertTrue(got.ended())
                    self.logged("connection.authn_error", code, f"{code}{version}")

    def expired(self, name):
        """A certificate of yesteryear: openssl makes none, so that its end is moved, and nobody asks whether it is signed rightly."""
        pem = self.pki.ca(name, is_ca=False)
        der = bytearray(ssl.PEM_cert_to_DER_cert(pem))
        end = [match.start() for match in re.finditer(rb"\x17\x0d\d{12}Z", bytes(der))][1]
        der[end + 2:end + 4] = b"20"
        pem = ssl.DER_cert_to_PEM_cert(bytes(der))
        with open(self.pki.path(f"{name}.pem"), "w") as file:
            file.write(pem)
        return pem

    def test_g09_a_client_id_that_no_policy_allows(self):
        name, tls, _ = self.device(("Allow", "iot:Connect", ARN + "client/other"))
        failed = self.listener(f"$aws/events/presence/connect_failed/{name}")
        connected = self.listener(f"$aws/events/presence/connected/{name}")
        for version, reason in ((4, 5), (5, 0x87)):
            self.assertEqual(self.client(name, tls, version=version).connack.reason, reason)
            self.event(failed, clientId=name, connectFailureReason="AUTHORIZATION_FAILED")
            failed.messages.clear()
        self.assertEqual(connected.messages, [])

    def test_g10_client_ids_that_are_not_taken(self):
        for version, reason in ((4, 2), (5, 0x85)):
            self.assertEqual(self.plain("$x", version=version).connack.reason, reason)
            self.assertEqual(self.plain("x" * 129, version=version).connack.reason, 0)

    def test_g11_assigned_client_ids_are_unique(self):
        seen = set()
        for _ in range(1000):
            got = Client(self.server, "", version=5)
            seen.add(got.connack.properties["assigned_client_id"])
            got.close()
        self.assertEqual(len(seen), 1000)

    def test_g12_a_second_connection_takes_over(self):
        will = self.listener("g12/will")
        events = self.listener("$aws/events/presence/disconnected/g12")
        first = self.plain("g12", version=5, will=("g12/will", "gone", 1, False))
        second = self.plain("g12", version=5)
        self.assertEqual(second.connack.reason, 0)
        self.assertEqual(first.ended(), 0x8E)
        self.assertEqual(will.wait(1)[0].payload, b"gone")
        event = self.event(events, disconnectReason="DUPLICATE_CLIENTID")
        self.assertIs(event["clientInitiatedDisconnect"], False)

    def test_g13_silence_ends_a_connection(self):
        events = self.listener("$aws/events/presence/disconnected/g13")
        quiet = self.plain("g13", version=5, keep_alive=2)
        began = time.monotonic()
        self.assertEqual(quiet.ended(10), 0x8D)
        self.assertAlmostEqual(time.monotonic() - began, 3, delta=1)
        self.event(events, disconnectReason="MQTT_KEEP_ALIVE_TIMEOUT")

    def test_g14_a_second_connect_is_an_error(self):
        events = self.listener("$aws/events/presence/disconnected/g14")
        twice = self.plain("g14")
        twice.send(twice.connect_packet("g14", None, True, 60, None, None, {}, {}))
        self.assertTrue(twice.ended())
        self.event(events, disconnectReason="CLIENT_ERROR")

    def test_g15_unsubscribe_with_wrong_flags(self):
        events = self.listener("$aws/events/presence/disconnected/g15")
        wrong = self.plain("g15")
        wrong.send(b"\xa0\x05\x00\x01\x00\x01a")
        self.assertTrue(wrong.ended())
        self.event(events, disconnectReason="CLIENT_ERROR")


class StrictConnect(Checks):
    PROFILE = "strict"

    def test_g08_strict_says_nothing(self):
        self.pki.ca("unknown", is_ca=False)
        got = self.client("c", self.pki.files("unknown"))
        self.assertIsNone(got.connack)
        self.assertTrue(got.ended())

    def test_g10_strict_client_ids(self):
        for version, reason in ((4, 2), (5, 0x85)):
            for client_id in (str(version) * 129, f"${version}"):  # one CONNECT a second of a client
                self.assertEqual(self.plain(client_id, version=version).connack.reason, reason)

    def test_g13_strict_keep_alive(self):
        events = self.listener("$aws/events/presence/disconnected/g13")
        quiet = self.plain("g13", version=5, keep_alive=10)
        began = time.monotonic()
        self.assertEqual(quiet.connack.properties["server_keep_alive"], 30)
        self.assertEqual(quiet.ended(60), 0x8D)
        self.assertAlmostEqual(time.monotonic() - began, 45, delta=3)
        self.event(events, disconnectReason="MQTT_KEEP_ALIVE_TIMEOUT")

    def test_g16_what_connack_says(self):
        said = self.plain("g16", version=5).connack.properties
        self.assertEqual({name: said.get(name, default) for name, default in (
            ("receive_maximum", None), ("maximum_qos", None), ("topic_alias_maximum", None), ("retain_available", 1), ("wildcard_available", 1),
            ("subscription_ids_available", 1), ("shared_available", 1))},
            {"receive_maximum": 100, "maximum_qos": 1, "topic_alias_maximum": 8, "retain_available": 1, "wildcard_available": 1,
             "subscription_ids_available": 0, "shared_available": 1})

    def test_g17_subscription_identifiers(self):
        got = self.plain("g17", version=5)
        self.assertIsNone(got.subscribe("a", subscription_id=1))
        self.assertEqual(got.packets[-1].reason, 0xA1)
        extended = Server()
        self.addCleanup(extended.close)
        wide = Client(extended, "g17", version=5)
        self.assertEqual(wide.subscribe("a", subscription_id=7), [1])
        wide.publish("a", b"x")
        self.assertEqual(wide.receive(PUBLISH).properties["subscription_id"], [7])
        wide.close()


if __name__ == "__main__":
    unittest.main(warnings="ignore")
