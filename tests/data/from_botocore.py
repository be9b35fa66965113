#!/usr/bin/python3
"""Freezes what botocore (Debian's python3-botocore) puts on the wire, as data for the tests of net and gateway.

from_botocore.py requests > botocore-requests.json   one serialized request per operation that we model
from_botocore.py signatures > sigv4-botocore.json    requests with their SigV4 signatures
"""
import base64
import csv
import datetime
import json
import os
import re
import sys
from unittest import mock
from urllib.parse import urlsplit

import botocore.auth
import botocore.awsrequest
import botocore.serialize
import botocore.session
from botocore.credentials import Credentials

HERE = os.path.dirname(os.path.abspath(__file__))
TIERS = {"1"}
# And of these areas every operation.
AREAS = {"things", "thing-types", "thing-groups", "dynamic-groups", "billing-groups", "tags", "events", "logging"}


def sample(shape, name):
    kind = shape.type_name
    if kind == "structure":
        return {key: sample(member, key) for key, member in shape.members.items()}
    if kind == "list":
        return [sample(shape.member, name)]
    if kind == "map":
        return {sample(shape.key, name): sample(shape.value, name)}
    if kind == "boolean":
        return True
    if kind in ("integer", "long"):
        return max(1, shape.metadata.get("min", 1))
    if kind in ("float", "double"):
        return 1.5
    if kind == "timestamp":
        return datetime.datetime(2023, 11, 14, 22, 13, 21, 500000)
    if kind == "blob":
        return b"\x00\xff{"
    if shape.metadata.get("enum"):
        return shape.metadata["enum"][0]
    if shape.serialization.get("jsonvalue"):
        return [{"k": "v"}]
    if name == "correlationData":
        return "AAE="
    if shape.metadata.get("max", 0) == shape.metadata.get("min", 1):
        return "a" * shape.metadata["max"]
    # The richest text that the pattern lets through.
    pattern = shape.metadata.get("pattern", ".*").replace("\\p{Graph}", "!-~").replace("\\p{L}\\p{Z}\\p{N}", "\\w ")
    for text in ("a/b c:$é", "a/b:1", "a:1", "a_1", "7", ",", "https://h/x", "a" * 64):
        if re.fullmatch(pattern, text):
            return text
    return "x"  # inside rule actions, whose members pass as they are


def plain(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def requests():
    session = botocore.session.get_session()
    out = []
    with open(os.path.join(HERE, "aws-api.tsv")) as table:
        for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE):
            if (row["tier"] not in TIERS and row["area"] not in AREAS) or row["since"] != "base":
                continue
            model = session.get_service_model(row["service"])
            operation = model.operation_model(row["operation"])
            params = {}
            if operation.input_shape is not None:
                params = sample(operation.input_shape, row["operation"])
            serializer = botocore.serialize.create_serializer(
                model.metadata["protocol"], include_validation=False)
            wire = serializer.serialize_to_request(dict(params), operation)
            request = botocore.awsrequest.AWSRequest(
                method=wire["method"], url="http://h" + wire["url_path"], params=wire["query_string"],
                headers=wire["headers"], data=wire["body"]).prepare()
            url = urlsplit(request.url)
            body = request.body or b""
            body = body.encode() if isinstance(body, str) else body
            out.append({
                "service": row["service"], "operation": row["operation"], "method": request.method,
                "target": url.path + ("?" + url.query if url.query else ""),
                "headers": {k: v.decode() if isinstance(v, bytes) else v for k, v in request.headers.items()},
                "body_base64": base64.b64encode(body).decode(), "members": plain(params)})
    return out


AT = datetime.datetime(2026, 1, 15, 12, 0, 0)


class StoppedClock(datetime.datetime):
    @classmethod
    def utcnow(cls):
        return AT

    @classmethod
    def now(cls, tz=None):
        return AT


def signature(name, method, path, body=b"", headers=None, service="iot", token=None, query=False,
              origin="http://127.0.0.1:8080", params=None):
    credentials = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token)
    request = botocore.awsrequest.AWSRequest(method=method, url=origin + path, data=body, headers=headers or {},
                                            params=params or {})
    with mock.patch("datetime.datetime", StoppedClock):
        if query:
            botocore.auth.SigV4QueryAuth(credentials, service, "us-east-1", expires=3600).add_auth(request)
        else:
            botocore.auth.SigV4Auth(credentials, service, "us-east-1").add_auth(request)
    prepared = request.prepare()
    url = urlsplit(prepared.url)
    fields = {k: v.decode() if isinstance(v, bytes) else v
              for k, v in prepared.headers.items() if k.lower() != "content-length"}
    fields.setdefault("Host", url.netloc)
    return {"name": name, "method": method, "target": url.path + ("?" + url.query if url.query else ""),
            "headers": fields, "body": body.decode(), "at_ms": 1768478400000}


def signatures():
    json_type = {"Content-Type": "application/json"}
    return [
        signature("list", "GET", "/things?maxResults=10&attributeName=a"),
        signature("create", "POST", "/things/t%3A1", b'{"attributePayload":{"attributes":{"a":"b"}}}', json_type,
                  service="execute-api"),
        signature("arn label", "POST", "/attached-policies/arn%3Aaws%3Aiot%3Aus-east-1%3A0%3Acert%2Fabc"),
        signature("bare dollar", "PUT", "/things/t/jobs/$next", b"{}", service="iot-jobs-data"),
        signature("encoded dollar", "GET", "/things/t/jobs/%24next", service="iot-jobs-data"),
        signature("user properties", "POST", "/topics/a%2Fb%20c%2F%24x?qos=1&contentType=text%2Fplain", b"hello",
                  {"x-amz-mqtt5-user-properties": "W3siayI6InYifV0="}, service="iotdata"),
        signature("principal header", "PUT", "/things/t/principals", b"",
                  {"x-amzn-principal": "arn:aws:iot:us-east-1:0:cert/abc"}),
        signature("session token", "GET", "/endpoint?endpointType=iot%3AData-ATS", token="TOKEN=="),
        signature("trailing slash", "GET", "/authorizers/?pageSize=1"),
        signature("query signed", "GET", "/mqtt", service="iotdevicegateway", query=True),
        signature("query signed, token inside", "GET", "/mqtt", service="iotdevicegateway", token="TOKEN==",
                  query=True),
        signature("plus for space", "GET", "/things", params={"attributeValue": "a b+c", "attributeName": "n"}),
        signature("default port", "GET", "/policies", origin="https://gw.test"),
    ]


if __name__ == "__main__":
    rows = {"requests": requests, "signatures": signatures}[sys.argv[1]]()
    print("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]")
