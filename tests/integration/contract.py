"""Calls operations as AWS's service model describes them (Debian's botocore, and model_newer.json for what AWS has added since), without an SDK's own checks in
between, and holds the replies against the model: member names, types, casing, error names and statuses."""
import base64
import copy
import http.client
import json
import os
import re
import urllib.parse

import botocore.model
import botocore.serialize
import botocore.session

NEWER = os.path.join(os.path.dirname(__file__), "../data/model-newer.json")
# Answered by any operation: of signatures and policies, which no operation models.
COMMON_ERRORS = {"AccessDeniedException": 403}
PATTERN_VALUES = ("!", " ", "é", "*", "$", "ä b", "-", "x", "\x7f")


class Model:
    """Operations by service and name."""

    def __init__(self):
        session = botocore.session.get_session()
        with open(NEWER) as file:
            newer = json.load(file)
        self.services = {}
        for name in ("iot", "iot-data"):
            described = copy.deepcopy(session.get_service_model(name)._service_description)
            for section in ("operations", "shapes"):
                for key, value in newer[name][section].items():
                    present = described[section].get(key)
                    if present is not None and "members" in present:
                        present["members"].update(value["members"])
                    else:
                        described[section][key] = value
            self.services[name] = botocore.model.ServiceModel(described, name)

    def operation(self, service, name):
        return self.services[service].operation_model(name)


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def error(self):
        return (self.headers.get("x-amzn-ErrorType") or "").split(":")[0]

    def json(self):
        return json.loads(self.body) if self.body else {}


class Caller:
    """One kept connection to the development face."""

    def __init__(self, port, model):
        self.port, self.model = port, model
        self.serializer = botocore.serialize.create_serializer("rest-json", include_validation=False)
        self.connection = None

    def request(self, service, name, parameters):
        made = self.serializer.serialize_to_request(parameters, self.model.operation(service, name))
        path = made["url_path"]
        query = made.get("query_string") or {}
        if query:
            text = urllib.parse.urlencode(query, doseq=True, quote_via=urllib.parse.quote)
            path += ("&" if "?" in path else "?") + text
        return made["method"], path, made["body"], dict(made["headers"])

    def send(self, service, method, path, body, headers):
        scope = "iotdata" if service == "iot-data" else "iot"
        headers["Authorization"] = (f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/{scope}/aws4_request, "
                                    "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64)
        headers["x-amz-date"] = "20260101T000000Z"
        for attempt in (1, 2):
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                self.connection.request(method, path, body, {k: str(v).encode() for k, v in headers.items()})
                got = self.connection.getresponse()
                return Reply(got.status, got.headers, got.read())
            except (http.client.HTTPException, ConnectionError):
                self.connection = None
                if attempt == 2:
                    raise
        return None

    def call(self, service, name, parameters):
        return self.send(service, *self.request(service, name, parameters))


# -- replies --

def check_reply(operation, reply, allowed):
    """A list of what is wrong with a reply: of success with the output's members, of failure with the error's."""
    wrong = []
    if not reply.headers.get("x-amzn-RequestId"):
        wrong.append("no x-amzn-RequestId")
    if reply.status >= 300:
        return wrong + check_error(operation, reply)
    if reply.status != 200:
        wrong.append(f"status {reply.status}")
    shape = operation.output_shape
    if shape is not None and shape.serialization.get("payload"):
        return wrong
    value = reply.json()
    if shape is None:
        if set(value) - allowed:
            wrong.append(f"a reply without members has {sorted(value)}")
        return wrong
    for name, member in shape.members.items():
        if member.type_name in ("list", "map") and member.serialization.get("name", name) not in value:
            wrong.append(f"the list {name} is left out")
    return wrong + check_value(shape, value, operation.name, allowed)


def check_error(operation, reply):
    wrong = []
    modelled = {each.name: each.metadata["error"]["httpStatusCode"] for each in operation.error_shapes}
    shapes = {each.name: each for each in operation.error_shapes}
    modelled.update(COMMON_ERRORS)
    if reply.error not in modelled:
        wrong.append(f"the error {reply.error} is not modelled")
    elif reply.status != modelled[reply.error]:
        wrong.append(f"{reply.error} has status {reply.status}")
    body = reply.json()
    if not isinstance(body.get("message"), str) or not body["message"]:
        wrong.append("an error without message")
    for name in shapes[reply.error].members if reply.error in shapes else ():
        if name not in body and name in ("resourceId", "resourceArn"):
            wrong.append(f"{reply.error} without {name}")
    return wrong


def check_value(shape, value, at, allowed):
    wrong = []
    kind = shape.type_name
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = {
        "structure": isinstance(value, dict), "map": isinstance(value, dict), "list": isinstance(value, list),
        "string": isinstance(value, str), "boolean": isinstance(value, bool), "timestamp": is_number, "double": is_number, "float": is_number,
        "integer": is_number and value == int(value), "long": is_number and value == int(value), "blob": isinstance(value, str),
    }[kind]
    if not fits:
        return [f"{at} is no {kind}: {value!r}"]
    if kind == "structure":
        members = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        for name, inner in value.items():
            if name in members:
                wrong += check_value(members[name], inner, f"{at}.{name}", allowed)
            elif name not in allowed:
                wrong.append(f"{at} has the member {name}")
        for name in shape.required_members:
            if name not in value:
                wrong.append(f"{at} lacks {name}")
    elif kind == "list":
        for inner in value:
            wrong += check_value(shape.member, inner, f"{at}[]", allowed)
    elif kind == "map":
        for inner in value.values():
            wrong += check_value(shape.value, inner, f"{at}{{}}", allowed)
    elif kind == "string" and getattr(shape, "enum", None) and value not in shape.enum:
        wrong.append(f"{at} is not one of the enum: {value}")
    elif kind == "blob":
        base64.b64decode(value, validate=True)
    return wrong


# -- requests that the model does not allow, or only just --

def sample(shape):
    """A small value of a shape; for what stands around the member that a case is about."""
    kind = shape.type_name
    if kind == "structure":
        return {name: sample(member) for name, member in shape.members.items() if name in shape.required_members}
    if kind == "list":
        return [sample(shape.member)]
    if kind == "map":
        return {sample(shape.key): sample(shape.value)}
    if kind == "string":
        if getattr(shape, "enum", None):
            return shape.enum[0]
        return "a" * max(1, shape.metadata.get("min") or 1)
    return {"boolean": True, "timestamp": 0, "blob": b"x"}.get(kind, shape.metadata.get("min") or 1)


def compiled(pattern):
    if pattern is None or "\\p{" in pattern:
        return None
    return re.compile(f"(?:{pattern})", re.A)


def filler(shape):
    pattern = compiled(shape.metadata.get("pattern"))
    for text in ("a", "1", "A", "."):
        if pattern is None or pattern.fullmatch(text):
            return text
    return None


def bad_values(shape):
    bounds = shape.metadata
    low, high = bounds.get("min"), bounds.get("max")
    if shape.type_name == "string":
        if getattr(shape, "enum", None):
            yield "NOT_A_VALUE"
            yield shape.enum[0].lower() + "x"
            return
        fill = filler(shape)
        if high and fill:
            yield fill * (high + 1)
        if low and low > 1 and fill:
            yield fill * (low - 1)
        pattern = compiled(bounds.get("pattern"))
        if pattern is not None:
            for text in PATTERN_VALUES:
                padded = (fill or "") * max(0, (low or 1) - len(text)) + text
                if not pattern.fullmatch(padded):
                    yield padded
    elif shape.type_name in ("integer", "long"):
        if low is not None:
            yield low - 1
        if high is not None:
            yield high + 1
    elif shape.type_name == "list":
        if low:
            yield []
        if high:
            yield [sample(shape.member)] * (high + 1)


def edge_values(shape):
    bounds = shape.metadata
    if shape.type_name == "string" and not getattr(shape, "enum", None):
        fill = filler(shape)
        if fill and bounds.get("max"):
            yield fill * bounds["max"]
        if fill and (bounds.get("min") or 0) > 0:
            yield fill * bounds["min"]
    elif shape.type_name in ("integer", "long"):
        yield from (bounds[key] for key in ("min", "max") if bounds.get(key) is not None)


def places(shape, value, seen=()):
    """(path of keys, shape) of every value in the input, also of those that `value` leaves out. Path elements: a member's name, 0, or ("key"|"value",)."""
    if shape.name in seen:
        return
    for name, member in shape.members.items():
        yield (name,), member
        inner = member
        prefix = (name,)
        while inner.type_name in ("list", "map"):
            if inner.type_name == "map":
                yield prefix + ("{key}",), inner.key
            inner, prefix = (inner.member, prefix + (0,)) if inner.type_name == "list" else (inner.value, prefix + ("{value}",))
            if inner.type_name != "structure":
                yield prefix, inner
        if inner.type_name == "structure":
            for path, each in places(inner, None, seen + (shape.name,)):
                yield prefix + path, each


def with_value(shape, base, path, value):
    """A copy of `base` with the value at the path; what is missing on the way is made up."""
    head, rest = path[0], path[1:]
    if head == 0:
        element = base[0] if base else sample(shape.member)
        return [with_value(shape.member, element, rest, value) if rest else value]
    if head == "{key}":
        return {value: sample(shape.value)}
    if head == "{value}":
        key = next(iter(base), None) if base else None
        key = key if key is not None else sample(shape.key)
        return {key: with_value(shape.value, (base or {}).get(key) or sample(shape.value), rest, value) if rest else value}
    out = dict(base or {})
    member = shape.members[head]
    out[head] = with_value(member, out.get(head) or sample(member), rest, value) if rest else value
    return out


def wrong_types(shape):
    """JSON values that are none of the shape's type."""
    return {
        "string": (5, True, {}, []), "boolean": ("yes", 1, []), "integer": ("1x", True, {}, 1.5), "long": ("1x", [], 1.5), "double": ("x", {}),
        "structure": (5, "x", []), "list": (5, "x", {}), "map": (5, "x", []), "timestamp": ({}, []), "blob": (5, [], "no base64!"),
    }[shape.type_name]
