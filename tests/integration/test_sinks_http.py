"""Rules that go out over HTTP: S3 (a server that verifies every signature with botocore's own code), OpenSearch, InfluxDB; and over TLS."""
import base64
import hashlib
import http.server
import json
import re
import ssl
import subprocess
import threading
import unittest
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials

from certificates import make_certificate
from server import BINARY
from sinks import SinkCase
import targets

CREDENTIALS = botocore.credentials.Credentials("AKIDEXAMPLE", "secret/key+x")


class StandIn:
    """An HTTP/1.1 server on a free port; `answer(request)` gives (status, body)."""
    def __init__(self, answer, tls=None):
        self.requests = []
        stand_in = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_all(self):
                self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                stand_in.requests.append(self)
                status, body = answer(self)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)
            do_GET = do_PUT = do_POST = do_HEAD = handle_all

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def signature_is_right(request):
    """Signs what came once more, as AWS's own client does."""
    found = re.match(r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/([^/]+)/s3/aws4_request, ?SignedHeaders=([^,]+), ?Signature=(\w+)",
                     request.headers.get("Authorization", ""))
    if not found or request.headers["x-amz-content-sha256"] != hashlib.sha256(request.body).hexdigest():
        return False
    host = request.headers["Host"]
    path = urllib.parse.unquote(request.path)
    again = botocore.awsrequest.AWSRequest(
        request.command, f"http://{host}" + urllib.parse.quote(path, safe="/~"), data=request.body,
        headers={name: request.headers[name] for name in found[2].split(";") if name != "host"})
    again.context["timestamp"] = request.headers["x-amz-date"]
    signer = botocore.auth.S3SigV4Auth(CREDENTIALS, "s3", found[1])
    canonical = signer.canonical_request(again)
    return signer.signature(signer.string_to_sign(again, canonical), again) == found[3]


class HttpSinks(SinkCase):
    @classmethod
    def setUpClass(cls):
        cls.start_server()

    def stand_in(self, answer, tls=None):
        made = StandIn(answer, tls)
        self.addCleanup(made.close)
        return made

    def test_s3_objects_are_put_with_signatures(self):
        objects = {}
        refusals = [503]

        def answer(request):
            if refusals and request.command == "PUT":
                return refusals.pop(), b"slow down"
            if not signature_is_right(request):
                return 403, b"SignatureDoesNotMatch"
            objects[urllib.parse.unquote(request.path)] = (request.body, request.headers)
            return 200, b""

        s3 = self.stand_in(answer)
        self.apply("lake", f"""
            CREATE TARGET lake AS s3(match = 'raw-*', endpoint = 'http://127.0.0.1:{s3.port}', region = 'eu-west-1',
                                     accessKey = 'AKIDEXAMPLE', secretKey = 'secret/key+x');
            CREATE RULE lake AS SELECT v FROM 'lake/+'
            DO s3(bucketName = 'raw-1', key = 'by device/${{topic(2)}}/ä=1+2 &.json', cannedAcl = 'private')
            DO s3(bucketName = 'raw-${{topic(2)}}', key = 'k')
            DO s3(bucketName = 'other', key = 'here');
        """)
        self.publish("lake/m1", {"v": 7})
        self.wait(lambda: len(objects) == 2, lambda: f"{list(objects)} {[request.headers for request in s3.requests]}")
        body, headers = objects["/raw-1/by device/m1/ä=1+2 &.json"]
        self.assertEqual((body, headers["Content-Type"], headers["x-amz-acl"]), (b'{"v":7}', "application/json", "private"))
        self.assertEqual(objects["/raw-m1/k"][0], b'{"v":7}')

    def test_firehose_s_batches_are_objects(self):
        objects = {}

        def answer(request):
            if not signature_is_right(request):
                return 403, b"SignatureDoesNotMatch"
            objects[urllib.parse.unquote(request.path)] = request.body
            return 200, b""

        s3 = self.stand_in(answer)
        self.apply("hose", f"""
            CREATE TARGET hose AS s3(match = 'firehose:hose-*', endpoint = 'http://127.0.0.1:{s3.port}', region = 'eu-west-1',
                                     accessKey = 'AKIDEXAMPLE', secretKey = 'secret/key+x');
            CREATE RULE hose AS SELECT v FROM 'hose/+'
            DO firehose(deliveryStreamName = 'hose-1', separator = ',') WITH (lingerMs = 300, batchSize = 3);
        """)
        for value in range(6):
            self.publish("hose/a", {"v": value})
        self.wait_equal(lambda: b"".join(objects[path] for path in sorted(objects)).count(b"},"), 6)
        self.assertEqual(sorted(b"".join(objects.values()).split(b",")), sorted([b'{"v":%d}' % value for value in range(6)] + [b""]))
        for path in objects:
            self.assertRegex(path, r"^/hose-1/\d{4}/\d\d/\d\d/\d\d/hose-1-")

    def test_aws_s_own_services_take_batches(self):
        """SQS, Kinesis and Firehose as botocore speaks to them: what AWS throttles comes again, what it refuses fails."""
        taken = {"sqs": [], "kinesis": [], "firehose": []}
        throttle = {"sqs": 1, "kinesis": 1, "firehose": 1}

        def is_signed(request, service):
            found = re.match(r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/eu-west-1/([^/]+)/aws4_request, ?SignedHeaders=([^,]+), ?Signature=(\w+)",
                             request.headers.get("Authorization", ""))
            if not found or found[1] != service:
                return False
            again = botocore.awsrequest.AWSRequest(
                "POST", f"http://{request.headers['Host']}{request.path}", data=request.body,
                headers={name: request.headers[name] for name in found[2].split(";") if name != "host"})
            again.context["timestamp"] = request.headers["x-amz-date"]
            signer = botocore.auth.SigV4Auth(CREDENTIALS, service, "eu-west-1")
            return signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again) == found[3]

        def answer(request):
            body = json.loads(request.body)
            service = {"AmazonSQS.SendMessageBatch": "sqs", "Kinesis_20131202.PutRecords": "kinesis",
                       "Firehose_20150804.PutRecordBatch": "firehose"}[request.headers["X-Amz-Target"]]
            if not is_signed(request, service):
                return 403, b'{"__type": "InvalidSignatureException"}'
            if throttle[service] > 0:
                throttle[service] -= 1
                return 400, b'{"__type": "com.amazonaws#ThrottlingException", "message": "Rate exceeded"}'
            if service == "sqs":
                entries = {each["Id"]: json.loads(base64.b64decode(each["MessageBody"]))["v"] for each in body["Entries"]}
                if body["QueueUrl"] != "https://sqs.eu-west-1.amazonaws.com/000000000000/jobs" or len(entries) > 10:
                    return 400, b'{"__type": "InvalidRequest"}'
                taken[service] += [value for value in entries.values() if value != 13]
                failed = [{"Id": id, "Code": "InvalidMessageContents", "SenderFault": True, "Message": "no thirteen"}
                          for id, value in entries.items() if value == 13]
                return 200, json.dumps({"Successful": [], "Failed": failed}).encode()
            taken[service] += [json.loads(base64.b64decode(record["Data"]))["v"] for record in body["Records"]]
            results = [{"SequenceNumber": "1"}] * len(body["Records"])
            return 200, json.dumps({"Records" if service == "kinesis" else "RequestResponses": results}).encode()

        aws = self.stand_in(answer)
        where = f"endpoint = 'http://127.0.0.1:{aws.port}', region = 'eu-west-1', accessKey = 'AKIDEXAMPLE', secretKey = 'secret/key+x'"
        self.apply("aws", f"""
            CREATE TARGET aws_queues AS aws(match = 'sqs:*', {where});
            CREATE TARGET aws_streams AS aws(match = 'kinesis:*', {where});
            CREATE TARGET aws_hoses AS aws(match = 'firehose:aws-*', {where});
            CREATE RULE aws AS SELECT v FROM 'aws/in'
            DO sqs(queueUrl = 'https://sqs.eu-west-1.amazonaws.com/000000000000/jobs', useBase64 = TRUE)
            DO kinesis(streamName = 's', partitionKey = '${{v}}')
            DO firehose(deliveryStreamName = 'aws-1') WITH (lingerMs = 50)
            ON ERROR DO republish(topic = 'failed/aws', qos = 1);
        """)
        failed = self.failures("failed/aws")
        for value in range(25):
            self.publish("aws/in", {"v": value})
        for service in taken:
            expected = [value for value in range(25) if service != "sqs" or value != 13]
            self.wait_equal(lambda: taken[service], expected)
        self.assertIn(b"no thirteen", failed.wait(1)[0].payload)

    def test_a_changed_secret_is_used_at_once(self):
        """What waits for a target goes out with the new secret as soon as it is put, however long the wait was to be."""
        seen = []

        def answer(request):
            seen.append(request.headers.get("Authorization", ""))
            return (200, b"") if "Credential=second/" in seen[-1] else (503, b"")

        s3 = self.stand_in(answer)
        put = lambda value: subprocess.run([BINARY, "secret", "put", "rotated", "--data-dir", self.server.data_dir], input=value, text=True,
                                           check=True, capture_output=True, timeout=60)
        put("first")
        self.apply("rotated", f"""
            CREATE TARGET rotated AS s3(match = 'rotated', endpoint = 'http://127.0.0.1:{s3.port}', accessKey = secret('rotated'), secretKey = 'k');
            CREATE RULE rotated AS SELECT v FROM 'rotated'
            DO s3(bucketName = 'rotated', key = 'k') WITH (retryBase = '60s', retryMax = '60s');
        """)
        self.publish("rotated", {"v": 1})
        self.wait(lambda: any("Credential=first/" in each for each in seen), "it was not tried")
        put("second")
        self.wait(lambda: any("Credential=second/" in each for each in seen), lambda: seen, timeout_s=20)

    def test_opensearch_takes_documents_in_bulk_and_refuses_one(self):
        documents = {}

        def answer(request):
            if request.headers.get("Authorization") != "Basic " + base64.b64encode(b"u:p").decode():
                return 401, b"{}"
            lines = request.body.decode().split("\n")
            items = []
            for head, document in zip(lines[::2], lines[1::2]):
                action = json.loads(head)["index"]
                bad = json.loads(document)["v"] == 13
                if not bad:
                    documents[action["_index"], action["_id"]] = json.loads(document)
                items.append({"index": {"status": 400 if bad else 201, "error": {"type": "mapper_parsing_exception"} if bad else None}})
            return 200, json.dumps({"errors": False, "items": items}).encode()

        search = self.stand_in(answer)
        url = f"http://127.0.0.1:{search.port}"
        self.apply("search", f"""
            CREATE TARGET search AS opensearch(match = '{url}', endpoint = '{url}', user = 'u', password = 'p');
            CREATE RULE search AS SELECT * FROM 'search/in'
            DO openSearch(endpoint = '{url}', index = 'readings', type = '_doc', id = '${{v}}')
            ON ERROR DO republish(topic = 'failed/search', qos = 1);
        """)
        failed = self.failures("failed/search")
        for value in range(20):
            self.publish("search/in", {"v": value})
        self.wait_equal(lambda: len(documents), 19)
        self.assertIn(b"mapper_parsing_exception", failed.wait(1)[0].payload)
        self.assertEqual(documents["readings", "7"], {"v": 7})

    def test_an_endpoint_that_only_a_rule_names_is_not_called_at_a_private_address(self):
        search = self.stand_in(lambda request: (200, b'{"errors": false, "items": [{"index": {"status": 201}}]}'))
        self.apply("own", f"""
            CREATE RULE own AS SELECT * FROM 'own/in'
            DO openSearch(endpoint = 'http://127.0.0.1:{search.port}', index = 'readings', type = '_doc', id = 'x')
            ON ERROR DO republish(topic = 'failed/own', qos = 1);
        """)
        failed = self.failures("failed/own")
        self.publish("own/in", {"v": 1})
        self.assertIn(b"127.0.0.1 is a private address", failed.wait(1)[0].payload)
        self.assertEqual(search.requests, [])

    def test_influxdb_1_of_debian(self):
        influx = targets.Influx()
        self.addCleanup(influx.close)
        import urllib.request
        base = f"http://127.0.0.1:{influx.port}"

        def query(text):
            url = f"{base}/query?db=plant&q=" + urllib.parse.quote(text)
            with urllib.request.urlopen(urllib.request.Request(url, method="POST" if text.startswith("CREATE") else "GET")) as answer:
                return json.load(answer)["results"][0]

        query("CREATE DATABASE plant")
        self.apply("influx", f"""
            CREATE TARGET metrics AS influx(match = '*', endpoint = '{base}', version = '1');
            CREATE RULE influx AS SELECT * FROM 'influx/+'
            DO influxDB(destinationArn = 'local', databaseName = 'plant', tableName = 'room_@{{room}}', tags = {{'device': '${{topic(2)}}'}})
            ON ERROR DO republish(topic = 'failed/influx', qos = 1);
        """)
        failed = self.failures("failed/influx")
        self.publish("influx/d 1", [{"timestamp": 1700000000000 + n, "room": "r", "temp": 20.5, "n": n, "ok": True, "s": 'a "b"'} for n in range(3)])
        self.publish("influx/d 1", {"timestamp": 1700000000100, "room": "r", "temp": "a type conflict"})
        self.publish("influx/d 1", {"room": "r", "temp": 1.0})
        self.wait(lambda: len(failed.messages) == 2, lambda: failed.payloads())
        rows = query('SELECT * FROM "room_r"')["series"][0]
        self.assertEqual(rows["columns"], ["time", "device", "n", "ok", "s", "temp"])
        self.assertEqual(rows["values"][2][1:], ["d 1", 2, True, 'a "b"', 20.5])
        reasons = b"".join(failed.payloads())
        self.assertIn(b"field type conflict", reasons)
        self.assertIn(b"whole number", reasons)

    def test_influxdb_2_and_3_paths_and_tokens(self):
        seen = []

        def answer(request):
            seen.append((request.path, request.headers.get("Authorization"), request.body))
            return 204, b""

        stand_in = self.stand_in(answer)
        for version, path, token in (("2", "/api/v2/write?org=o&bucket=db2&precision=s", "Token t"),
                                     ("3", "/api/v3/write_lp?db=db3&precision=second", "Bearer t")):
            organization = ", organization = 'o'" if version == "2" else ""
            self.apply("flux" + version, f"""
                CREATE TARGET flux{version} AS influx(match = 'db{version}', endpoint = 'http://127.0.0.1:{stand_in.port}', version = '{version}', token = 't'{organization});
                CREATE RULE flux{version} AS SELECT * FROM 'flux{version}'
                DO influxDB(destinationArn = 'x', databaseName = 'db{version}', tableName = 't,1', timestampUnit = 's');
            """)
            self.publish("flux" + version, {"timestamp": 1700000000, "v": 18446744073709551615, "o": {"a": 1}, "no": None})
            self.wait(lambda: seen, "nothing came")
            self.assertEqual(seen.pop(), (path, token, b't\\,1 v=18446744073709551615u,o="{\\"a\\":1}" 1700000000\n'))

    def test_tls_takes_the_certificate_authority_it_is_told_and_no_other(self):
        certificate, key = make_certificate(self.server.folder, "127.0.0.1")
        puts = []
        s3 = self.stand_in(lambda request: (puts.append(request.path) or 200, b""), tls=(certificate, key))
        for name, ca in (("trusting", certificate), ("wary", self.server.ca)):
            self.apply(name, f"""
                CREATE TARGET {name} AS s3(match = '{name}', endpoint = 'https://127.0.0.1:{s3.port}', ca = '{ca}');
                CREATE RULE {name} AS SELECT v FROM 'tls/{name}' DO s3(bucketName = '{name}', key = 'k') WITH (retryMax = 200, maxAttempts = 2)
                ON ERROR DO republish(topic = 'failed/{name}', qos = 1);
            """)
        failed = self.failures("failed/wary")
        for name in ("trusting", "wary"):
            self.publish("tls/" + name, {"v": 1})
        self.wait_equal(lambda: puts, ["/trusting/k"])
        self.assertIn(b"does not show the certificate expected", failed.wait(1)[0].payload)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
