"""Shadows with real clients: by topic and by the API, classic and named, with policies."""
import json
import unittest

from server import Server, Subscriber


class Shadow(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def test_a_desired_change_reaches_the_device_and_comes_back(self):
        certificate, key, _ = self.server.device("pump")
        prefix = "$aws/things/pump/shadow"
        device = Subscriber(self.server, prefix + "/update/delta", prefix + "/update/accepted", prefix + "/get/+",
                            client_id="pump", tls=(certificate, key))
        self.addCleanup(device.close)
        data = self.server.api("iot-data", tls=True)
        device.publish(prefix + "/get", '{"clientToken": "t0"}')
        device.wait(1)
        self.assertEqual(device.messages[0].topic, prefix + "/get/rejected")
        self.assertEqual(json.loads(device.messages[0].payload)["code"], 404)
        data.update_thing_shadow(thingName="pump", payload='{"state": {"desired": {"speed": 3}}}')
        device.wait(3)
        delta = json.loads(next(m.payload for m in device.messages if m.topic.endswith("delta")))
        self.assertEqual((delta["state"], delta["version"]), ({"speed": 3}, 1))
        device.publish(prefix + "/update", '{"state": {"reported": {"speed": 3}}, "version": 1, "clientToken": "t1"}')
        device.wait(4)
        self.assertEqual(json.loads(device.messages[-1].payload)["clientToken"], "t1")
        shadow = json.loads(data.get_thing_shadow(thingName="pump")["payload"].read())
        self.assertEqual(shadow["state"], {"desired": {"speed": 3}, "reported": {"speed": 3}})
        self.assertEqual(shadow["version"], 2)

    def test_named_shadows_versions_and_deletion(self):
        data = self.server.api("iot-data")
        for name in ("b", "a"):
            data.update_thing_shadow(thingName="box", shadowName=name, payload='{"state": {"desired": {"x": 1}}}')
        self.assertEqual(data.list_named_shadows_for_thing(thingName="box")["results"], ["a", "b"])
        with self.assertRaises(data.exceptions.ConflictException):
            data.update_thing_shadow(thingName="box", shadowName="a", payload='{"state": {}, "version": 7}')
        deleted = json.loads(data.delete_thing_shadow(thingName="box", shadowName="a")["payload"].read())
        self.assertEqual(deleted["version"], 1)
        again = json.loads(data.update_thing_shadow(
            thingName="box", shadowName="a", payload='{"state": {"desired": {"x": 2}}}')["payload"].read())
        self.assertEqual(again["version"], 3)
        with self.assertRaises(data.exceptions.ResourceNotFoundException):
            data.get_thing_shadow(thingName="box")

    def test_refusals_have_their_names(self):
        data = self.server.api("iot-data")
        for payload, error in [
            (b"{", "InvalidRequestException"),
            (b'{"state": {"foo": 1}}', "InvalidRequestException"),
            (b"\xff", "UnsupportedDocumentEncodingException"),
            (json.dumps({"state": {"desired": {"x": "y" * 9000}}}).encode(), "RequestEntityTooLargeException"),
        ]:
            with self.assertRaises(data.exceptions.ClientError) as caught:
                data.update_thing_shadow(thingName="refused", payload=payload)
            self.assertEqual(caught.exception.response["Error"]["Code"], error)

    def test_a_device_reaches_only_what_its_policies_allow(self):
        prefix = "arn:aws:iot:us-east-1:000000000000:"
        certificate, key, _ = self.server.device("own", {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["iot:GetThingShadow", "iot:UpdateThingShadow"], "Resource": prefix + "thing/own"}]})
        import http.client
        import ssl

        context = ssl.create_default_context(cafile=self.server.ca)
        context.load_cert_chain(certificate, key)

        def post(thing):
            connection = http.client.HTTPSConnection("localhost", self.server.port("https"), context=context, timeout=30)
            connection.request("POST", f"/things/{thing}/shadow", '{"state": {"reported": {"a": 1}}}')
            reply = connection.getresponse()
            reply.read()
            return reply.status

        self.assertEqual(post("own"), 200)
        self.assertEqual(post("other"), 403)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
