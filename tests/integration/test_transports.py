"""Every way in, with real clients: TLS versions and sessions, ALPN, WebSockets, HTTPS publish, proxies, IPv6, certificates that change."""
import base64
import json
import os
import signal
import socket
import ssl
import subprocess
import time
import unittest
import urllib.request

import paho.mqtt.client as mqtt
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from server import Server, Subscriber, wait_until

ACCEPTED = b"\x20\x02\x00\x00"
NOT_AUTHORIZED = b"\x20\x02\x00\x05"


def connect_packet(client_id):
    text = len(client_id).to_bytes(2, "big") + client_id.encode()
    body = b"\x00\x04MQTT\x04\x02\x00\x3c" + text
    return b"\x10" + bytes([len(body)]) + body


def read(connection, count):
    out = b""
    while len(out) < count:
        more = connection.recv(count - len(out))
        if not more:
            break
        out += more
    return out


def tls_context(server, device=None, alpn=None):
    context = ssl.create_default_context(cafile=server.ca)
    if device:
        context.load_cert_chain(device[0], device[1])
    if alpn:
        context.set_alpn_protocols([alpn])
    return context


def metric(server, sample):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port('admin')}/metrics", timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(sample))


def administrator(server):
    pairs = {}
    with open(server.path("credentials")) as file:
        for line in file:
            name, _, value = line.partition("=")
            pairs[name.strip()] = value.strip()
    return Credentials(pairs["aws_access_key_id"], pairs["aws_secret_access_key"])


def signed_path(server, credentials, service="iotdevicegateway", region="us-east-1", expires=300):
    request = AWSRequest("GET", f"wss://localhost:{server.port('https')}/mqtt")
    SigV4QueryAuth(credentials, service, region, expires=expires).add_auth(request)
    return request.url[request.url.index("/mqtt"):]


def upgrade_status(server, path):
    """The HTTP status of an attempt to open a WebSocket there."""
    with socket.create_connection(("127.0.0.1", server.port("https")), timeout=20) as raw:
        with tls_context(server, alpn="http/1.1").wrap_socket(raw, server_hostname="localhost") as connection:
            connection.sendall((
                f"GET {path} HTTP/1.1\r\nHost: localhost:{server.port('https')}\r\nConnection: Upgrade\r\n"
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode())
            return int(read(connection, 12).split()[1])


class Transports(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.device = cls.server.device("dev1")

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def subscriber(self, *filters, **options):
        made = Subscriber(self.server, *filters, **options)
        self.addCleanup(made.close)
        return made

    def test_alpn_names_choose_the_protocol(self):
        listener = self.subscriber("alpn/#")
        with socket.create_connection(("127.0.0.1", self.server.port("https")), timeout=20) as raw:
            context = tls_context(self.server, self.device, "x-amzn-mqtt-ca")
            with context.wrap_socket(raw, server_hostname="localhost") as connection:
                self.assertEqual(connection.selected_alpn_protocol(), "x-amzn-mqtt-ca")
                connection.sendall(connect_packet("dev1"))
                self.assertEqual(read(connection, 4), ACCEPTED)
        with socket.create_connection(("127.0.0.1", self.server.port("https")), timeout=20) as raw:
            context = tls_context(self.server, self.device, "x-amzn-http-ca")
            with context.wrap_socket(raw, server_hostname="localhost") as connection:
                self.assertEqual(connection.selected_alpn_protocol(), "x-amzn-http-ca")
                connection.sendall(b"POST /topics/alpn%2F1?qos=1 HTTP/1.1\r\nHost: localhost\r\n"
                                   b"Content-Length: 2\r\n\r\nok")
                self.assertTrue(read(connection, 15).startswith(b"HTTP/1.1 200"))
        listener.wait(1)
        self.assertEqual(listener.payloads(), [b"ok"])

    def test_a_signed_websocket_carries_mqtt(self):
        path = signed_path(self.server, administrator(self.server))
        client = mqtt.Client("ws-signed", transport="websockets")
        client.tls_set_context(tls_context(self.server, alpn="http/1.1"))
        client.ws_set_options(path=path)
        client.connect("localhost", self.server.port("https"))
        client.loop_start()
        self.addCleanup(client.loop_stop)
        wait_until(client.is_connected)
        listener = self.subscriber("ws/#")
        client.publish("ws/1", "signed", qos=1).wait_for_publish(60)
        listener.wait(1)
        client.disconnect()
        self.assertEqual(listener.payloads(), [b"signed"])

    def test_a_websocket_without_a_right_signature_is_refused_before_the_upgrade(self):
        keys = administrator(self.server)
        right = signed_path(self.server, keys)
        self.assertEqual(upgrade_status(self.server, right), 101)
        token = Credentials(keys.access_key, keys.secret_key, "TOKEN==")
        self.assertEqual(upgrade_status(self.server, right + "&X-Amz-Security-Token=TOKEN%3D%3D"), 101)
        self.assertEqual(upgrade_status(self.server, signed_path(self.server, token)), 101)
        flipped = right[:-1] + ("0" if right[-1] != "0" else "1")
        for wrong in ("/mqtt", flipped,
                      signed_path(self.server, keys, service="iot"),
                      signed_path(self.server, Credentials("AKIDNOBODY", "x")),
                      signed_path(self.server, keys, expires=8 * 24 * 3600)):
            self.assertEqual(upgrade_status(self.server, wrong), 403, wrong)
        short = signed_path(self.server, keys, expires=1)
        time.sleep(2.1)
        self.assertEqual(upgrade_status(self.server, short), 403)

    def test_a_device_may_use_a_websocket_with_its_certificate(self):
        listener = self.subscriber("wsdev/#")
        device = self.subscriber(client_id="dev1", tls=self.device, transport="websockets", face="https")
        device.publish("wsdev/1", "from a browser of sorts")
        listener.wait(1)

    def test_https_publish_takes_every_parameter(self):
        listener = self.subscriber("https/#", protocol=mqtt.MQTTv5)
        url = f"https://localhost:{self.server.port('https')}/topics/"

        def curl(target, *arguments, payload="hello"):
            done = subprocess.run(
                ["curl", "-sS", "-o", "-", "-w", "\n%{http_code}", "--cacert", self.server.ca, "--cert", self.device[0],
                 "--key", self.device[1], "--data-binary", payload, *arguments, url + target],
                check=True, capture_output=True, text=True, timeout=60)
            body, _, status = done.stdout.rpartition("\n")
            return int(status), json.loads(body)

        properties = base64.b64encode(b'[{"a":"1"},{"a":"2"}]').decode()
        status, answer = curl(
            "https/all?qos=1&retain=true&messageExpiry=60&responseTopic=answers%2Fhere&contentType=text%2Fplain",
            "-H", f"x-amz-mqtt5-user-properties: {properties}",
            "-H", "x-amz-mqtt5-payload-format-indicator: UTF8_DATA",
            "-H", "x-amz-mqtt5-correlation-data: " + base64.b64encode(b"\x00\x01").decode())
        self.assertEqual((status, answer["message"]), (200, "OK"))
        self.assertTrue(answer["traceId"])
        message = listener.wait(1)[0]
        self.assertEqual(message.topic, "https/all")
        self.assertEqual(message.payload, b"hello")
        got = message.properties
        self.assertEqual(got.UserProperty, [("a", "1"), ("a", "2")])
        self.assertEqual(got.ContentType, "text/plain")
        self.assertEqual(got.ResponseTopic, "answers/here")
        self.assertEqual(got.CorrelationData, b"\x00\x01")
        self.assertEqual(got.PayloadFormatIndicator, 1)
        self.assertIn(got.MessageExpiryInterval, (59, 60))
        later = self.subscriber("https/all", client_id="later", protocol=mqtt.MQTTv5)
        self.assertTrue(later.wait(1)[0].retain)
        self.assertEqual(curl("https%2Fencoded")[0], 200)
        listener.wait(2)
        self.assertEqual(listener.messages[1].topic, "https/encoded")
        self.assertEqual(curl("https/empty", payload="")[0], 200)
        for wrong in (("https/x?qos=3",), ("https/x?qos=one",), ("https/%2B",), ("https/x?messageExpiry=-1",),
                      ("https/x?retain=maybe",), ("https/x?responseTopic=a%2F%23",),
                      ("https/x", "-H", "x-amz-mqtt5-user-properties: %%%"),
                      ("https/x", "-H", "x-amz-mqtt5-user-properties: " + base64.b64encode(b'{"a":1}').decode()),
                      ("https/x", "-H", "x-amz-mqtt5-correlation-data: %%%"),
                      ("https/x", "-H", "x-amz-mqtt5-payload-format-indicator: MAYBE")):
            self.assertEqual(curl(*wrong)[0], 400, wrong)

    def test_a_resumed_session_is_checked_like_a_new_one(self):
        cert, key, arn = self.server.device("resumed")
        sessions = os.path.join(self.server.folder, "session.pem")

        def attempt(*arguments):
            process = subprocess.Popen(
                ["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{self.server.port('mqtts')}",
                 "-servername", "localhost", "-CAfile", self.server.ca, "-cert", cert, "-key", key, *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            process.stdin.write(connect_packet("resumed"))
            process.stdin.flush()
            answer = process.stdout.read(4)
            process.stdin.close()
            process.terminate()
            process.wait(30)
            process.stdout.close()
            return answer

        for version in ("-tls1_3", "-tls1_2"):
            self.assertEqual(attempt(version, "-sess_out", sessions), ACCEPTED)
            resumed = metric(self.server, "iotcore_tls_resumed_total")
            self.assertEqual(attempt(version, "-sess_in", sessions, "-sess_out", sessions), ACCEPTED)
            self.assertEqual(metric(self.server, "iotcore_tls_resumed_total"), resumed + 1)
            iot = self.server.api()
            certificate_id = arn.rpartition("/")[2]
            iot.update_certificate(certificateId=certificate_id, newStatus="INACTIVE")
            self.assertEqual(attempt(version, "-sess_in", sessions), NOT_AUTHORIZED)
            self.assertEqual(metric(self.server, "iotcore_tls_resumed_total"), resumed + 2)
            iot.update_certificate(certificateId=certificate_id, newStatus="ACTIVE")


class Settings(unittest.TestCase):
    """Servers with settings of their own."""

    def server(self, *settings, **options):
        made = Server(settings=settings, **options)
        self.addCleanup(made.close)
        return made

    def test_ipv6(self):
        server = self.server("listen.mqtts=[::1]:0", "listen.https=[::1]:0")
        device = server.device("dev6")
        listener = Subscriber(server, "$aws/events/presence/connected/#", "six/#")
        self.addCleanup(listener.close)
        with socket.create_connection(("::1", server.port("mqtts")), timeout=20) as raw:
            with tls_context(server, device).wrap_socket(raw, server_hostname="::1") as connection:
                connection.sendall(connect_packet("dev6"))
                self.assertEqual(read(connection, 4), ACCEPTED)
                listener.wait(1)
        self.assertEqual(json.loads(listener.payloads()[0])["ipAddress"], "::1")
        subprocess.run(
            ["curl", "-sSf", "-o", "/dev/null", "--cacert", server.ca, "--cert", device[0], "--key", device[1],
             "--data-binary", "x", f"https://[::1]:{server.port('https')}/topics/six/1"], check=True, timeout=60)
        listener.wait(2)

    def test_policies_see_the_address_behind_the_proxy(self):
        server = self.server("proxy_protocol.faces=mqtts,https", "proxy_protocol.trusted=127.0.0.1")
        document = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "iot:*", "Resource": "*",
             "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}}]}
        device = server.device("proxied", document)
        listener = Subscriber(server, "$aws/events/presence/connected/#")
        self.addCleanup(listener.close)

        def connect(source):
            header = (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + socket.inet_aton(source) + socket.inet_aton("10.0.0.1")
                      + b"\x1f\x90\x20\xfb")
            with server.raw("mqtts") as raw:
                raw.sendall(header)
                with tls_context(server, device).wrap_socket(raw, server_hostname="localhost") as connection:
                    connection.sendall(connect_packet("proxied"))
                    return read(connection, 4)

        self.assertEqual(connect("192.0.2.7"), ACCEPTED)
        self.assertEqual(json.loads(listener.wait(1)[0].payload)["ipAddress"], "192.0.2.7")
        self.assertEqual(connect("198.51.100.7"), NOT_AUTHORIZED)
        with server.raw("mqtts") as raw:
            with self.assertRaises(OSError):
                tls_context(server, device).wrap_socket(raw, server_hostname="localhost")
        self.assertEqual(metric(server, "iotcore_proxy_refused_total"), 1)

    def test_a_certificate_is_replaced_without_a_restart(self):
        own = Server(start=False)
        self.addCleanup(own.close)
        files = [os.path.join(own.folder, name) for name in ("server.crt", "server.key")]

        def issue(common_name):
            for file in files:
                if os.path.exists(file):
                    os.unlink(file)
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-subj", f"/CN={common_name}", "-days", "2", "-out", files[0], "-keyout", files[1]],
                check=True, capture_output=True)

        def shown():
            return ssl.get_server_certificate(("127.0.0.1", own.port("mqtts")))

        def current():
            with open(files[0]) as file:
                return file.read().strip()

        issue("first")
        own.settings = [f"tls.certificate_file={files[0]}", f"tls.key_file={files[1]}"]
        own.start()
        self.assertEqual(shown().strip(), current())
        staying = own.raw("mqtt")
        self.addCleanup(staying.close)
        staying.sendall(connect_packet("staying"))
        self.assertEqual(read(staying, 4), ACCEPTED)
        issue("second")  # noticed without being told
        wait_until(lambda: shown().strip() == current())
        with open(files[1], "w") as file:
            file.write("no key")
        os.kill(own.process.pid, signal.SIGHUP)
        wait_until(lambda: "tls.reload_failed" in own.read_log())
        self.assertEqual(shown().strip(), current())
        issue("third")
        os.kill(own.process.pid, signal.SIGHUP)
        wait_until(lambda: shown().strip() == current())
        staying.sendall(b"\xc0\x00")
        self.assertEqual(read(staying, 2), b"\xd0\x00")

    def test_a_signed_websocket_ends_in_time(self):
        server = self.server("limits.websocket_life_s=1")
        events = Subscriber(server, "$aws/events/presence/disconnected/#")
        self.addCleanup(events.close)
        client = mqtt.Client("short", transport="websockets", protocol=mqtt.MQTTv5)
        client.tls_set_context(tls_context(server))
        client.ws_set_options(path=signed_path(server, administrator(server)))
        client.connect("localhost", server.port("https"))
        client.loop_start()
        self.addCleanup(client.loop_stop)
        event = json.loads(events.wait(1)[0].payload)
        self.assertEqual((event["clientId"], event["disconnectReason"]), ("short", "WEBSOCKET_TTL_EXPIRATION"))

    def test_named_tls_policies(self):
        server = self.server("tls.policy=IoTSecurityPolicy_TLS13_1_3_2022_10")

        def handshake(version):
            context = tls_context(server)
            context.minimum_version = context.maximum_version = version
            with server.raw("mqtts") as raw, context.wrap_socket(raw, server_hostname="localhost") as connection:
                return connection.version()

        self.assertEqual(handshake(ssl.TLSVersion.TLSv1_3), "TLSv1.3")
        with self.assertRaises(ssl.SSLError):
            handshake(ssl.TLSVersion.TLSv1_2)

    def test_wrong_settings_are_named(self):
        for setting, why in (("tls.policy=IoTSecurityPolicy_None", "tls.policy"),
                             ("proxy_protocol.faces=mqqt", "proxy_protocol.faces"),
                             ("proxy_protocol.trusted=10.0.0.1/8", "proxy_protocol.trusted"),
                             ("tls.key_file=/nowhere", "tls.certificate_file")):
            made = Server(settings=[setting], start=False)
            self.addCleanup(made.close)
            made.start(wait=False)
            self.assertEqual(made.process.wait(60), 2, setting)
            self.assertIn(why, made.read_log())


if __name__ == "__main__":
    unittest.main(warnings="ignore")
