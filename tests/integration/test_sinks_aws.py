"""Actions at AWS itself: every request is signed, and is what boto3 would have sent. The service is a stand-in."""
import datetime
import json
import re
import types
import unittest
import urllib.parse

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config

from sinks import SinkCase
from test_sinks_http import CREDENTIALS, StandIn

REGION = "eu-west-1"
ASSET = "0a1b2c3d-0000-4000-8000-000000000001"
SIGNATURE = re.compile(rf"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{{8}}/{REGION}/([^/]+)/aws4_request, ?SignedHeaders=([^,]+), ?Signature=(\w+)")


def signing_name(request):
    """The service that a right signature names; None if it is wrong."""
    found = SIGNATURE.match(request.headers.get("Authorization", ""))
    if not found:
        return None
    again = botocore.awsrequest.AWSRequest(
        request.command, f"http://{request.headers['Host']}{request.path}", data=request.body,
        headers={name: request.headers[name] for name in found[2].split(";") if name != "host"})
    again.context["timestamp"] = request.headers["x-amz-date"]
    kind = botocore.auth.S3SigV4Auth if found[1] == "s3" else botocore.auth.SigV4Auth
    signer = kind(CREDENTIALS, found[1], REGION)
    return found[1] if signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again) == found[3] else None


def meaning(request):
    """What a request says, however it is spelled."""
    form = request.headers["Content-Type"] or ""
    body = request.body
    if "form-urlencoded" in form:
        body = dict(urllib.parse.parse_qsl(body.decode()))
        for name in [each for each in body if each.endswith("Value")]:
            body[name] = float(body[name]) if name.startswith("MetricData") else body[name]
    elif "json" in form or request.path != "/" and body[:1] == b"{":
        body = json.loads(body)
    return request.command, request.path, request.headers.get("X-Amz-Target"), body


class AtAws(SinkCase):
    @classmethod
    def setUpClass(cls):
        cls.start_server()

    def setUp(self):
        self.answers = []  # (status, body) of the next requests; then success
        self.seen = []

        def answer(request):
            if signing_name(request) is None:
                return 403, b'{"__type": "InvalidSignatureException"}'
            # One handler has all requests of its connection, one after the other.
            self.seen.append(types.SimpleNamespace(command=request.command, path=request.path, headers=request.headers, body=request.body))
            return self.answers.pop(0) if self.answers else (200, b"{}")

        self.aws = StandIn(answer)
        self.addCleanup(self.aws.close)
        self.url = f"http://127.0.0.1:{self.aws.port}"

    def rule(self, action, select="SELECT *", match=None, error=""):
        name = self._testMethodName.removeprefix("test_")
        kind = match or action.split("(")[0] + ":*"
        self.apply(name, f"""
            CREATE TARGET {name} AS aws(match = '{kind}', endpoint = '{self.url}', region = '{REGION}', account = '123456789012',
                                        accessKey = 'AKIDEXAMPLE', secretKey = 'secret/key+x');
            CREATE RULE {name} AS {select} FROM '{name}/+' DO {action} {error};
        """)
        return name

    def send(self, name, document, count=1):
        before = len(self.seen)
        self.publish(f"{name}/m1", document)
        self.wait(lambda: len(self.seen) >= before + count, lambda: f"{[(each.command, each.path) for each in self.aws.requests]}")
        return self.seen[before:]

    def as_boto3(self, service, operation, **parameters):
        """The same call by AWS's own client."""
        client = boto3.client(service, region_name=REGION, endpoint_url=self.url, aws_access_key_id=CREDENTIALS.access_key,
                              aws_secret_access_key=CREDENTIALS.secret_key,
                              config=botocore.config.Config(retries={"max_attempts": 0}, inject_host_prefix=False))
        before = len(self.seen)
        try:
            getattr(client, operation)(**parameters)
        except Exception as problem:  # the answer is not that service's: what was sent is what matters
            if len(self.seen) == before:
                raise problem
        return self.seen.pop(before)

    def compare(self, ours, service, operation, **parameters):
        theirs = self.as_boto3(service, operation, **parameters)
        self.assertEqual(meaning(ours), meaning(theirs))
        self.assertEqual(signing_name(ours), signing_name(theirs))

    def test_dynamodb(self):
        name = self.rule("""dynamoDB(tableName = 'readings', hashKeyField = 'machine', hashKeyValue = '${topic(2)}',
            rangeKeyField = 't', rangeKeyValue = '${t}', rangeKeyType = 'NUMBER', operation = '${op}')""", "SELECT temp, tags, on, none")
        key = {"machine": {"S": "m1"}, "t": {"N": "7"}}
        payload = {"M": {"temp": {"N": "20.5"}, "tags": {"L": [{"S": "a"}, {"N": "1"}]}, "on": {"BOOL": True}, "none": {"NULL": True}}}
        document = {"temp": 20.5, "tags": ["a", 1], "on": True, "none": None, "t": 7}
        put, = self.send(name, document | {"op": "INSERT"})
        self.compare(put, "dynamodb", "put_item", TableName="readings", Item=key | {"payload": payload})
        update, = self.send(name, document | {"op": "UPDATE"})
        self.compare(update, "dynamodb", "update_item", TableName="readings", Key=key, UpdateExpression="SET #payload = :payload",
                     ExpressionAttributeNames={"#payload": "payload"}, ExpressionAttributeValues={":payload": payload})
        delete, = self.send(name, document | {"op": "DELETE"})
        self.compare(delete, "dynamodb", "delete_item", TableName="readings", Key=key)

    def test_dynamodb_in_order_and_again_when_throttled(self):
        name = self.rule("dynamoDBv2(putItem = {'tableName': 'machines'})", "SELECT topic(2) AS id, v, nested",
                         error=f"ON ERROR DO republish(topic = 'failed/tables', qos = 1)")
        failed = self.failures("failed/tables")
        self.answers = [(400, b'{"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}'),
                        (200, b"{}")]
        requests = self.send(name, {"v": 1, "nested": {"a": [1.5]}}, count=2)
        self.compare(requests[1], "dynamodb", "put_item", TableName="machines",
                     Item={"id": {"S": "m1"}, "v": {"N": "1"}, "nested": {"M": {"a": {"L": [{"N": "1.5"}]}}}})
        self.answers = [(400, b'{"__type": "com.amazonaws.dynamodb.v20120810#ValidationException", "message": "no such key"}')]
        self.send(name, {"v": 2})
        self.assertIn(b"no such key", failed.wait(1)[0].payload)
        last, = self.send(name, {"v": 3})
        self.assertEqual(json.loads(last.body)["Item"]["v"], {"N": "3"})

    def test_s3(self):
        name = self.rule("s3(bucketName = 'lake', key = 'by device/${topic(2)}.json', cannedAcl = 'private')", match="s3:*")
        put, = self.send(name, {"v": 1})
        self.assertEqual((put.command, put.path, put.body), ("PUT", "/lake/by%20device/m1.json", b'{"v": 1}'))
        self.assertEqual(put.headers["x-amz-acl"], "private")

    def test_sns(self):
        arn = f"arn:aws:sns:{REGION}:123456789012:alerts"
        name = self.rule(f"sns(targetArn = '{arn}', messageFormat = 'RAW')")
        raw, = self.send(name, {"text": "50 % & more + ä"})
        self.compare(raw, "sns", "publish", TopicArn=arn, Message='{"text": "50 % & more + \\u00e4"}')

    def test_sns_for_each_protocol(self):
        arn = f"arn:aws:sns:{REGION}:123456789012:alerts"
        name = self.rule(f"sns(targetArn = '{arn}', messageFormat = 'JSON')", match="sns:arn:*")
        sent, = self.send(name, {"default": "all", "email": "mail"})
        self.compare(sent, "sns", "publish", TopicArn=arn, Message='{"default": "all", "email": "mail"}', MessageStructure="json")

    def test_timestream(self):
        name = self.rule("""timestream(databaseName = 'plant', tableName = 'machines', dimensions = [{'name': 'machine', 'value': '${topic(2)}'}],
            timestamp = {'value': '${t}', 'unit': 'SECONDS'})""", "SELECT temp, count, on, note, list")
        sent, = self.send(name, {"t": 1700000000, "temp": 20.5, "count": 3, "on": True, "note": "n", "list": [1, 2]})
        self.compare(sent, "timestream-write", "write_records", DatabaseName="plant", TableName="machines",
                     CommonAttributes={"Dimensions": [{"Name": "machine", "Value": "m1"}], "Time": "1700000000", "TimeUnit": "SECONDS"},
                     Records=[{"MeasureName": each, "MeasureValue": value, "MeasureValueType": kind} for each, value, kind in (
                         ("temp", "20.5", "DOUBLE"), ("count", "3", "BIGINT"), ("on", "true", "BOOLEAN"), ("note", "n", "VARCHAR"),
                         ("list", "[1,2]", "VARCHAR"))])

    def test_iot_sitewise(self):
        name = self.rule("""iotSiteWise(putAssetPropertyValueEntries = [
            {'propertyAlias': '/plant/${topic(2)}/temp', 'propertyValues': [
              {'timestamp': {'timeInSeconds': '${t}', 'offsetInNanos': '500'}, 'value': {'doubleValue': '${temp}'}, 'quality': 'GOOD'},
              {'timestamp': {'timeInSeconds': '${t + 1}'}, 'value': {'doubleValue': '${temp}'}}]},
            {'assetId': '""" + ASSET + """', 'propertyId': '""" + ASSET + """', 'propertyValues': [
              {'timestamp': {'timeInSeconds': '${t}'}, 'value': {'integerValue': '7'}}]}])""", error="ON ERROR DO republish(topic = 'failed/sitewise')")
        sent, = self.send(name, {"t": 1700000000, "temp": 20.5})
        value = lambda seconds, **more: {"timestamp": {"timeInSeconds": seconds}, "value": {"doubleValue": 20.5}} | more
        self.compare(sent, "iotsitewise", "batch_put_asset_property_value", entries=[
            {"entryId": "0", "propertyAlias": "/plant/m1/temp", "propertyValues": [
                value(1700000000, timestamp={"timeInSeconds": 1700000000, "offsetInNanos": 500}, quality="GOOD"), value(1700000001)]},
            {"entryId": "1", "assetId": ASSET, "propertyId": ASSET, "propertyValues": [
                {"timestamp": {"timeInSeconds": 1700000000}, "value": {"integerValue": 7}}]}])
        failed = self.failures("failed/sitewise")
        self.answers = [(200, b'{"errorEntries": [{"entryId": "0", "errors": [{"errorCode": "ResourceNotFoundException", "errorMessage": "no alias"}]}]}')]
        self.send(name, {"t": 1700000000, "temp": 1})
        self.assertIn(b"no alias", failed.wait(1)[0].payload)

    def test_location(self):
        name = self.rule("""location(trackerName = 'fleet', deviceId = '${topic(2)}', latitude = '${lat}', longitude = '${lon}',
            timestamp = {'value': '${t}', 'unit': 'MILLISECONDS'})""")
        sent, = self.send(name, {"lat": 48.5, "lon": 11.25, "t": 1700000000250})
        theirs = self.as_boto3("location", "batch_update_device_position", TrackerName="fleet", Updates=[
            {"DeviceId": "m1", "Position": [11.25, 48.5], "SampleTime": datetime.datetime.fromtimestamp(1700000000.25, datetime.timezone.utc)}])
        expected = json.loads(theirs.body.replace(b"250000Z", b"250Z"))
        self.assertEqual((sent.path, json.loads(sent.body)), (theirs.path, expected))

    def test_cloudwatch_metric(self):
        name = self.rule("cloudwatchMetric(metricNamespace = 'Plant', metricName = 'temp', metricValue = '${temp}', metricUnit = 'None', metricTimestamp = '${t}')")
        sent, = self.send(name, {"temp": 20.5, "t": 1700000000})
        theirs = self.as_boto3("cloudwatch", "put_metric_data", Namespace="Plant", MetricData=[
            {"MetricName": "temp", "Value": 20.5, "Unit": "None", "Timestamp": datetime.datetime.fromtimestamp(1700000000, datetime.timezone.utc)}])
        ours, expected = meaning(sent)[3], meaning(theirs)[3]
        self.assertEqual(ours.pop("MetricData.member.1.Timestamp"), "2023-11-14T22:13:20.000Z")
        self.assertEqual(expected.pop("MetricData.member.1.Timestamp"), "2023-11-14T22:13:20Z")
        self.assertEqual(ours, expected)

    def test_cloudwatch_alarm(self):
        name = self.rule("cloudwatchAlarm(alarmName = 'hot-${topic(2)}', stateReason = 'has ${temp}', stateValue = 'ALARM')")
        sent, = self.send(name, {"temp": 99})
        self.compare(sent, "cloudwatch", "set_alarm_state", AlarmName="hot-m1", StateReason="has 99", StateValue="ALARM")

    def test_cloudwatch_logs(self):
        """The log stream is made when it is missing."""
        name = self.rule("cloudwatchLogs(logGroupName = '/plant', batchMode = TRUE)", "SELECT VALUE events")
        self.answers = [(400, b'{"__type": "ResourceNotFoundException", "message": "The specified log stream does not exist."}')]
        first, made, again = self.send(name, {"events": [{"timestamp": 1700000000001, "message": "b"}, {"timestamp": 1700000000000, "message": {"v": 1}}]}, 3)
        self.compare(made, "logs", "create_log_stream", logGroupName="/plant", logStreamName="iotcore")
        self.compare(again, "logs", "put_log_events", logGroupName="/plant", logStreamName="iotcore", logEvents=[
            {"timestamp": 1700000000000, "message": '{"v":1}'}, {"timestamp": 1700000000001, "message": "b"}])

    def test_iot_events(self):
        name = self.rule("iotEvents(inputName = 'machines', messageId = '${id}')", "SELECT v")
        sent, = self.send(name, {"v": 1, "id": "x-1"})
        theirs = self.as_boto3("iotevents-data", "batch_put_message", messages=[
            {"messageId": "x-1", "inputName": "machines", "payload": b'{"v":1}'}])
        self.assertEqual(meaning(sent), meaning(theirs))

    def test_lambda(self):
        name = self.rule(f"lambda(functionArn = 'arn:aws:lambda:{REGION}:123456789012:function:far')")
        sent, = self.send(name, {"v": 1})
        theirs = self.as_boto3("lambda", "invoke", FunctionName="far", InvocationType="Event", Payload=b'{"v": 1}')
        self.assertEqual((sent.path, sent.body, sent.headers["X-Amz-Invocation-Type"]), (theirs.path, theirs.body, "Event"))

    def test_step_functions(self):
        name = self.rule("stepFunctions(stateMachineName = 'far', executionNamePrefix = 'p-')", "SELECT v")
        self.answers = [(400, b'{"__type": "ThrottlingException"}')]
        throttled, sent = self.send(name, {"v": 1}, 2)
        self.assertEqual(throttled.body, sent.body)
        execution = json.loads(sent.body)["name"]
        self.assertTrue(execution.startswith("p-"))
        self.compare(sent, "stepfunctions", "start_execution", name=execution, input='{"v":1}',
                     stateMachineArn=f"arn:aws:states:{REGION}:123456789012:stateMachine:far")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
