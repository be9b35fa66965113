"""What the gateway's checks share: servers of both profiles, devices with policies, events. Each check is a test named by its id, g01 to g84."""
import http.client
import itertools
import json
import ssl
import unittest

from identity import ALLOW_ALL, Pki, Refusals
from mqtt_wire import Client
from server import Server, Subscriber, wait_until

ALL = json.loads(ALLOW_ALL)
BOTH = (4, 5)
NUMBERS = itertools.count(1)


class Checks(Refusals, unittest.TestCase):
    """One server in the profile of the class, started once."""
    PROFILE = "extended"
    SETTINGS = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(settings=[f"mqtt.profile={cls.PROFILE}", *cls.SETTINGS])
        cls.addClassCleanup(cls.server.close)
        cls.iot = cls.server.api()
        cls.pki = Pki()
        cls.addClassCleanup(cls.pki.folder.cleanup)

    def device(self, *statements, name=None):
        """(name, (certificate, key), ARN) of a new thing whose policy has these (effect, action, resource[, condition]), or allows everything."""
        name = name or f"dev{next(NUMBERS)}"
        certificate, key, arn = self.server.device(name, self.document(*statements) if statements else ALL)
        return name, (certificate, key), arn

    @staticmethod
    def document(*statements):
        made = []
        for effect, action, resource, *condition in statements:
            made.append({"Effect": effect, "Action": action, "Resource": resource, **({"Condition": condition[0]} if condition else {})})
        return {"Version": "2012-10-17", "Statement": made}

    def set_policy(self, name, *statements):
        """A new default version; the oldest one goes."""
        versions = self.iot.list_policy_versions(policyName=name)["policyVersions"]
        if len(versions) == 5:
            oldest = min((each for each in versions if not each["isDefaultVersion"]), key=lambda each: int(each["versionId"]))
            self.iot.delete_policy_version(policyName=name, policyVersionId=oldest["versionId"])
        self.iot.create_policy_version(policyName=name, policyDocument=json.dumps(self.document(*statements)), setAsDefault=True)

    def client(self, client_id, tls=None, **options):
        made = Client(self.server, client_id, tls=tls, **options)
        self.addCleanup(made.close)
        return made

    def plain(self, client_id, **options):
        """By the development face, where everything is allowed."""
        return self.client(client_id, **options)

    def listener(self, *filters, **options):
        made = Subscriber(self.server, *filters, client_id=f"listener{next(NUMBERS)}", **options)
        self.addCleanup(made.close)
        return made

    def event(self, listener, **wanted):
        """The first event that has these members."""
        def find():
            for message in listener.messages:
                event = json.loads(message.payload)
                if all(event.get(name) == value for name, value in wanted.items()):
                    return event
            return None
        wait_until(find)
        return find()

    def logged(self, *words):
        wait_until(lambda: any(all(word in line for word in words) for line in self.server.read_log().splitlines()))

    def https(self, method, path, body=None, headers=None, tls=None, alpn=None, sni="localhost", face="https"):
        """(status, headers, body) of one request with a device's certificate, or without one."""
        context = ssl.create_default_context(cafile=self.server.ca)
        context.check_hostname = False
        if tls:
            context.load_cert_chain(tls[0], tls[1])
        if alpn:
            context.set_alpn_protocols([alpn])
        connection = http.client.HTTPSConnection(sni, self.server.port(face), context=context, timeout=20)
        connection._create_connection = lambda address, *rest: http.client.socket.create_connection(("127.0.0.1", address[1]), *rest)
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        out = reply.status, reply.headers, reply.read()
        connection.close()
        return out

    def eventually(self, answer, timeout_s=1.0):
        """Rights follow within a second."""
        wait_until(answer, timeout_s)
