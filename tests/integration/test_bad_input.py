"""What the server says to those who get it wrong, in each protocol's own form; and that it goes on."""
import http.client
import json
import unittest

from server import Server, Subscriber


def connect_packet(level=4, client_id=b"c", flags=2):
    body = b"\x00\x04MQTT" + bytes([level, flags]) + b"\x00\x3c"
    if level == 5:
        body += b"\x00"
    body += len(client_id).to_bytes(2, "big") + client_id
    return b"\x10" + bytes([len(body)]) + body


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(settings=("tls.server_names=own.example",))

    @classmethod
    def tearDownClass(cls):
        # After everything that was tried, it serves.
        subscriber = Subscriber(cls.server, "still/here", client_id="last")
        subscriber.publish("still/here", "yes")
        subscriber.wait(1)
        subscriber.close()
        cls.server.close()

    def talk(self, *packets):
        """Sends packets; returns all that comes until the server closes."""
        with self.server.raw() as connection:
            got = b""
            for packet in packets:
                connection.sendall(packet)
            while True:
                try:
                    part = connection.recv(4096)
                except ConnectionResetError:
                    return got
                if not part:
                    return got
                got += part

    def http(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port("http"), timeout=30)
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        return reply.status, reply.getheader("x-amzn-ErrorType"), reply.read().decode()

    def test_a_name_that_others_have_led_here(self):
        for host, status in [("evil.example", 403), (f"evil.example:{self.server.port('http')}", 403), ("localhost", 200),
                             ("iot.us-east-1.amazonaws.com", 200), ("own.example", 200), ("OWN.example:80", 200)]:
            for more in ({}, {"Authorization": "AWS4-HMAC-SHA256 made up"}):
                with self.subTest(host=host, more=more):
                    got, kind, body = self.http("GET", "/things", headers={"Host": host, **more})
                    self.assertEqual(got, status, body)
                    self.assertEqual("ForbiddenException" in (kind or "") and "localhost" in body, status == 403, (kind, body))

    def test_mqtt_connect(self):
        for packet, expected in [
            (b"GET / HTTP/1.1\r\n\r\n", b""),                    # not MQTT at all
            (b"\x30\x05\x00\x01abc", b""),                       # PUBLISH before CONNECT
            (connect_packet(3), b"\x20\x02\x00\x01"),            # unknown level
            (connect_packet(4, b"$x"), b"\x20\x02\x00\x02"),     # reserved client id
            (connect_packet(4, b"", 0), b"\x20\x02\x00\x02"),    # empty id without clean session
            (connect_packet(4, b"c", 3), b""),                   # reserved flag of CONNECT
        ]:
            self.assertEqual(self.talk(packet), expected, packet)

    def test_mqtt_packets(self):
        v3, v5 = connect_packet(4), connect_packet(5)
        connack_v5 = 2 + self.talk(v5, b"\xe0\x00")[1]
        for packet, reason in [
            (v5, 0x82),                                          # second CONNECT
            (b"\x36\x05\x00\x01aXX", 0x81),                      # both QoS bits
            (b"\x30\x05\x00\x02a#\x00", 0x90),                   # wildcard in a topic
            (b"\x80\x07\x00\x01\x00\x00\x01a\x00", 0x81),        # SUBSCRIBE with flags 0000
            (b"\x82\x03\x00\x01\x00", 0x82),                     # SUBSCRIBE of nothing
            (b"\x30\x04\x00\x01\xff\x00", 0x81),                 # the topic is not UTF-8
            (b"\x30\xff\xff\xff\xff", 0x81),                     # a remaining length of five bytes
            (b"\x30\xff\xff\xff\x7f", 0x95),                     # more than the maximum packet
            (b"\x30\x07\x00\x00\x03\x23\x00\x00x", 0x94),        # topic alias 0
            (b"\xf0\x00", 0x82),                                 # AUTH without a method
        ]:
            answer = self.talk(v5, packet)[connack_v5:]
            self.assertEqual(answer[:1], b"\xe0", (packet, answer))
            self.assertEqual(answer[2], reason, (packet, answer))
        self.assertEqual(self.talk(v3, v3), b"\x20\x02\x00\x00")  # v3 has nothing to say, and closes

    def test_http(self):
        for method, path, body, status, error in [
            ("GET", "/no/such/path", None, 404, "UnknownOperationException"),
            ("POST", "/things/" + "x" * 129, "{}", 400, "InvalidRequestException"),
            ("POST", "/things/t", '{"attributePayload": 5}', 400, None),
            ("POST", "/things/t", "{", 400, None),
            ("POST", "/things/t", b"\xff", 400, None),
            ("GET", "/things?maxResults=many", None, 400, "InvalidRequestException"),
            ("GET", "/things?nextToken=%21", None, 400, "InvalidRequestException"),
            ("POST", "/topics/a%2F%23", "x", 400, "InvalidRequestException"),
            ("POST", "/topics/a?qos=7", "x", 400, "InvalidRequestException"),
        ]:
            got_status, got_error, text = self.http(method, path, body)
            self.assertEqual(got_status, status, (path, text))
            if error:
                self.assertEqual((got_error or "").split(":")[0], error, (path, text))
            self.assertTrue(json.loads(text)["message"], (path, text))

    def test_malformed_http_gets_an_answer_or_a_close(self):
        for request in (b"\x00\x01\x02\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
                        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n",
                        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"):
            with self.server.raw("http") as connection:
                try:
                    connection.sendall(request)
                    answer = connection.recv(100)
                except ConnectionError:
                    continue
                self.assertTrue(answer == b"" or answer.startswith(b"HTTP/1.1 4"), (request[:40], answer))

    def test_rules_with_bad_sql_are_refused_where_it_is_wrong(self):
        iot = self.server.api()
        for sql, words in [("SELEC * FROM 'a'", "SELECT"), ("SELECT * FROM 'a' WHERE", "WHERE"),
                           ("SELECT nope(1) FROM 'a'", "nope"), ("SELECT * FROM 'a/#/b'", "a/#/b")]:
            with self.assertRaises(iot.exceptions.SqlParseException) as caught:
                iot.create_topic_rule(ruleName="r", topicRulePayload={"sql": sql, "actions": []})
            self.assertIn(words, str(caught.exception), sql)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
