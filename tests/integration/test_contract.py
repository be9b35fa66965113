"""The contract with AWS's tools: every operation of identity is called with the least and with all it takes, at its bounds and beyond them, and each reply is held
against AWS's service model."""
import csv
import json
import os
import time
import unittest

import contract
from identity import ALLOW_ALL, ARN, Pki, policy
from server import Server

TABLE = os.path.join(os.path.dirname(__file__), "../data/aws-api.tsv")
AREAS = {
    "things", "thing-types", "thing-groups", "billing-groups", "dynamic-groups", "tags", "logging", "events", "certificates", "ca-certificates",
    "policies", "authorizers", "domain-configurations", "role-aliases", "endpoint", "publish", "retained",
}
PROVISIONING = {"RegisterThing"} | {operation + "ProvisioningTemplate" for operation in ("Create", "Describe", "Update", "Delete")} | {
    operation + "ProvisioningTemplateVersion" for operation in ("Create", "Describe", "Delete")} | {
    "ListProvisioningTemplates", "ListProvisioningTemplateVersions"}
ROLE = "arn:aws:iam::000000000000:role/r"
TAGS = [{"Key": "k", "Value": "v"}]
TEMPLATE = json.dumps({"Parameters": {"AWS::IoT::Certificate::Id": {"Type": "String"}}, "Resources": {
    "c": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}}}}})
ACM = "arn:aws:acm:us-east-1:000000000000:certificate/c"
# In replies though the model does not have them.
UNMODELLED = {"message", "traceId"}
# What no model says and AWS refuses nevertheless, or takes though the pattern says otherwise.
LENIENT = set()
# Answer for a name that is not there as if it were, or otherwise than with ResourceNotFoundException.
ABSENT = {
    "DeleteThing": 200, "DeleteThingGroup": 200, "DeleteDynamicThingGroup": 200, "DeleteBillingGroup": 200, "DetachPolicy": 200,
    "DeleteThingType": "ResourceNotFoundException",
}


# A resource has 50 tags at most: they are one page.
UNPAGED = {"ListTagsForResource": {"nextToken"}}


class Contract(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.close)
        cls.pki = Pki()
        cls.addClassCleanup(cls.pki.folder.cleanup)
        cls.model = contract.Model()
        cls.caller = contract.Caller(cls.server.port("http"), cls.model)
        with open(TABLE) as table:
            cls.rows = {row["operation"]: row for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE)
                        if row["service"] in ("iot", "iot-data") and (row["area"] in AREAS or row["operation"] in PROVISIONING)}
        cls.base = {}    # operation: parameters of its first call that went well
        cls.used = {}    # operation: members that a call that went well had
        cls.problems = []

    def call(self, name, **parameters):
        """A call that must go well; returns the reply's body."""
        row = self.rows[name]
        operation = self.model.operation(row["service"], name)
        reply = self.caller.call(row["service"], name, parameters)
        if reply.status >= 300:
            self.problems.append(f"{name}({parameters}): {reply.status} {reply.error} {reply.body[:300]!r}")
            return {}
        self.hold(name, operation, reply, parameters)
        if name.startswith(("Create", "Register")):
            time.sleep(0.002)  # what is listed by age has ages of its own
        self.base.setdefault(name, parameters)
        self.used.setdefault(name, set()).update(parameters)
        return reply.json() if operation.output_shape is None or not operation.output_shape.serialization.get("payload") else {}

    def hold(self, name, operation, reply, what):
        newer = {each.split("@")[0] for each in self.rows[name]["response"].split(",")}
        for wrong in contract.check_reply(operation, reply, UNMODELLED | newer):
            self.problems.append(f"{name}({str(what)[:300]}): {wrong}")

    def pages(self, name, member, **parameters):
        """All of a list, element by element, is what it is at once."""
        shape = self.model.operation(self.rows[name]["service"], name).input_shape
        size, token, next_token = ("pageSize", "marker", "nextMarker") if "marker" in shape.members else ("maxResults", "nextToken", "nextToken")
        whole = self.call(name, **parameters)[member]
        if not whole:
            self.problems.append(f"{name}({parameters}): nothing to page through")
            return
        got, page = [], self.call(name, **parameters, **({size: 1} if size in shape.members else {}))
        for _ in range(2 * len(whole) + 2):
            got += page[member]
            if next_token not in page:
                break
            page = self.call(name, **parameters, **({size: 1} if size in shape.members else {}), **{token: page[next_token]})
        if got != whole:
            self.problems.append(f"{name}({parameters}): page by page {got}, at once {whole}")
        if "ascendingOrder" in shape.members:
            turned = self.call(name, **parameters, ascendingOrder=not parameters.get("ascendingOrder", False))[member]
            if turned != whole[::-1]:
                self.problems.append(f"{name}: the other way round {turned}, not {whole[::-1]}")
        row = self.rows[name]
        for bad in ("AAAA", "!", "e30="):
            reply = self.caller.call(row["service"], name, {**parameters, token: bad})
            if (reply.status, reply.error) != (400, "InvalidRequestException"):
                self.problems.append(f"{name}: {token}={bad} gives {reply.status} {reply.error}")

    # -- the story --

    def things(self):
        call = self.call
        call("CreateThingType", thingTypeName="plain")
        made = call("CreateThingType", thingTypeName="lamp", tags=TAGS, thingTypeProperties={
            "thingTypeDescription": "lights up", "searchableAttributes": ["site"],
            "mqtt5Configuration": {"propagatingAttributes": [{"userPropertyKey": "s", "thingAttribute": "site"}]}})
        self.assertEqual(made["thingTypeArn"], ARN + "thingtype/lamp")
        call("UpdateThingType", thingTypeName="lamp")
        call("UpdateThingType", thingTypeName="lamp", thingTypeProperties={
            "mqtt5Configuration": {"propagatingAttributes": [{"userPropertyKey": "c", "connectionAttribute": "iot:ClientId"}]}})
        call("DescribeThingType", thingTypeName="lamp")
        self.pages("ListThingTypes", "thingTypes")
        call("ListThingTypes", thingTypeName="lamp")
        call("CreateBillingGroup", billingGroupName="bill")
        call("CreateBillingGroup", billingGroupName="bob", billingGroupProperties={"billingGroupDescription": "b"}, tags=TAGS)
        call("CreateThing", thingName="t1")
        call("CreateThing", thingName="t2", thingTypeName="lamp", attributePayload={"attributes": {"site": "s1", "empty": ""}, "merge": True},
             billingGroupName="bob")
        call("CreateThing", thingName="t3", thingTypeName="lamp", attributePayload={"attributes": {"site": "s2"}})
        call("DescribeThing", thingName="t2")
        call("UpdateThing", thingName="t1")
        call("UpdateThing", thingName="t2", thingTypeName="lamp", attributePayload={"attributes": {"site": "s3"}, "merge": True}, expectedVersion=1)
        call("UpdateThing", thingName="t3", removeThingType=True)
        self.pages("ListThings", "things")
        for filters in ({"attributeName": "site", "attributeValue": "s3"}, {"thingTypeName": "lamp"},
                        {"attributeName": "site", "attributeValue": "s", "usePrefixAttributeValue": True}):
            self.assertTrue(call("ListThings", **filters)["things"], filters)
        call("GetThingConnectivityData", thingName="t1")
        call("GetThingConnectivityData", thingName="t1", includeSocketInformation=True)

    def billing_groups(self):
        call = self.call
        call("DescribeBillingGroup", billingGroupName="bob")
        call("UpdateBillingGroup", billingGroupName="bill", billingGroupProperties={})
        call("UpdateBillingGroup", billingGroupName="bill", billingGroupProperties={"billingGroupDescription": "x"}, expectedVersion=2)
        self.pages("ListBillingGroups", "billingGroups")
        call("ListBillingGroups", namePrefixFilter="bo")
        call("AddThingToBillingGroup", billingGroupName="bill", thingName="t1")
        call("AddThingToBillingGroup", billingGroupArn=ARN + "billinggroup/bill", thingArn=ARN + "thing/t3")
        self.pages("ListThingsInBillingGroup", "things", billingGroupName="bill")
        call("RemoveThingFromBillingGroup", billingGroupName="bill", thingName="t1")
        call("RemoveThingFromBillingGroup", billingGroupArn=ARN + "billinggroup/bill", thingArn=ARN + "thing/t3")

    def groups(self):
        call = self.call
        call("CreateThingGroup", thingGroupName="g1")
        call("CreateThingGroup", thingGroupName="g2", parentGroupName="g1", tags=TAGS, thingGroupProperties={
            "thingGroupDescription": "d", "attributePayload": {"attributes": {"a": "b"}, "merge": True}})
        call("CreateThingGroup", thingGroupName="g3")
        call("DescribeThingGroup", thingGroupName="g2")
        call("UpdateThingGroup", thingGroupName="g2", thingGroupProperties={"attributePayload": {"attributes": {"c": "d"}, "merge": True}},
             expectedVersion=1)
        self.pages("ListThingGroups", "thingGroups")
        call("ListThingGroups", parentGroup="g1", namePrefixFilter="g", recursive=True)
        call("AddThingToThingGroup", thingGroupName="g2", thingName="t1", overrideDynamicGroups=True)
        call("AddThingToThingGroup", thingGroupArn=ARN + "thinggroup/g2", thingArn=ARN + "thing/t2")
        call("UpdateThingGroupsForThing", thingName="t1", thingGroupsToAdd=["g3"], overrideDynamicGroups=False)
        self.pages("ListThingGroupsForThing", "thingGroups", thingName="t1")
        self.pages("ListThingsInThingGroup", "things", thingGroupName="g1", recursive=True)
        call("UpdateThingGroupsForThing", thingName="t1", thingGroupsToRemove=["g3"])
        call("RemoveThingFromThingGroup", thingGroupName="g2", thingName="t1")
        call("RemoveThingFromThingGroup", thingGroupArn=ARN + "thinggroup/g2", thingArn=ARN + "thing/t2")
        call("CreateDynamicThingGroup", thingGroupName="d1", queryString="thingName:t*")
        call("CreateDynamicThingGroup", thingGroupName="d2", queryString="attributes.site:s3", queryVersion="2017-09-30", indexName="AWS_Things",
             thingGroupProperties={"thingGroupDescription": "d"}, tags=TAGS)
        call("DescribeThingGroup", thingGroupName="d2")
        call("UpdateDynamicThingGroup", thingGroupName="d2", thingGroupProperties={"thingGroupDescription": "e"}, expectedVersion=1,
             queryString="thingName:t1", queryVersion="2017-09-30", indexName="AWS_Things")
        call("DeleteDynamicThingGroup", thingGroupName="d1")
        call("DeleteDynamicThingGroup", thingGroupName="d2", expectedVersion=2)

    def certificates(self):
        call = self.call
        first = call("CreateKeysAndCertificate")
        self.certificate = call("CreateKeysAndCertificate", setAsActive=True)
        self.pki.run("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "csr.key", "-subj", "/CN=c",
                     "-out", "csr.csr")
        with open(self.pki.path("csr.csr")) as file:
            csr = file.read()
        call("CreateCertificateFromCsr", certificateSigningRequest=csr)
        second = call("CreateCertificateFromCsr", certificateSigningRequest=csr, setAsActive=True)
        call("DescribeCertificate", certificateId=first["certificateId"])
        self.pages("ListCertificates", "certificates")
        call("UpdateCertificate", certificateId=second["certificateId"], newStatus="REVOKED")
        call("DeleteCertificate", certificateId=second["certificateId"], forceDelete=True)
        call("GetRegistrationCode")
        self.ca = self.pki.register_ca(self.server.api(), "root")
        code = call("GetRegistrationCode")["registrationCode"]
        pem, proof = self.pki.ca("other"), self.pki.signed("proof", "other", code)
        call("RegisterCACertificate", caCertificate=pem, verificationCertificate=proof, setAsActive=True, allowAutoRegistration=True, tags=TAGS,
             registrationConfig={"templateBody": TEMPLATE, "roleArn": ROLE}, certificateMode="DEFAULT")
        call("RegisterCACertificate", caCertificate=self.pki.ca("sni"), certificateMode="SNI_ONLY")
        self.pages("ListCACertificates", "certificates")
        call("ListCACertificates", templateName="none")
        other = self.pki.fingerprint("other")
        call("DescribeCACertificate", certificateId=other)
        device = self.pki.signed("device", "other")
        call("RegisterCertificate", certificatePem=device, caCertificatePem=pem, status="ACTIVE")
        call("RegisterCertificate", certificatePem=self.pki.signed("device2", "other"), setAsActive=True)
        call("RegisterCertificateWithoutCA", certificatePem=self.pki.ca("alone", is_ca=False))
        call("RegisterCertificateWithoutCA", certificatePem=self.pki.ca("alone2", is_ca=False), status="INACTIVE")
        self.pages("ListCertificatesByCA", "certificates", caCertificateId=other)
        call("UpdateCACertificate", certificateId=other, newStatus="INACTIVE", newAutoRegistrationStatus="DISABLE",
             registrationConfig={"templateBody": TEMPLATE, "roleArn": ROLE})
        call("UpdateCACertificate", certificateId=other, removeAutoRegistration=True)
        call("DeleteCACertificate", certificateId=other)
        call("DeleteRegistrationCode")
        self.transfers(first["certificateId"], self.pki.fingerprint("alone"))

    def transfers(self, one, two):
        call = self.call
        call("TransferCertificate", certificateId=one, targetAwsAccount="111122223333")
        call("TransferCertificate", certificateId=two, targetAwsAccount="111122223333", transferMessage="yours")
        self.pages("ListOutgoingCertificates", "outgoingCertificates")
        call("DescribeCertificate", certificateId=two)
        call("CancelCertificateTransfer", certificateId=one)
        call("RejectCertificateTransfer", certificateId=two, rejectReason="no")
        call("DescribeCertificate", certificateId=two)
        call("TransferCertificate", certificateId=one, targetAwsAccount="111122223333")
        call("AcceptCertificateTransfer", certificateId=one, setAsActive=False)
        call("DescribeCertificate", certificateId=one)

    def principals(self):
        call = self.call
        arn = self.certificate["certificateArn"]
        self.other = self.call("CreateKeysAndCertificate")["certificateArn"]
        for principal in (arn, self.other):
            call("AttachThingPrincipal", thingName="t1", principal=principal)
        call("AttachThingPrincipal", thingName="t2", principal=arn, thingPrincipalType="NON_EXCLUSIVE_THING")
        self.pages("ListThingPrincipals", "principals", thingName="t1")
        self.pages("ListPrincipalThings", "things", principal=arn)
        self.pages("ListThingPrincipalsV2", "thingPrincipalObjects", thingName="t1")
        self.pages("ListPrincipalThingsV2", "principalThingObjects", principal=arn)
        call("ListThingPrincipalsV2", thingName="t1", thingPrincipalType="EXCLUSIVE_THING")
        call("ListPrincipalThingsV2", principal=arn, thingPrincipalType="NON_EXCLUSIVE_THING")
        call("DetachThingPrincipal", thingName="t2", principal=arn)

    def policies(self):
        call = self.call
        arn = self.certificate["certificateArn"]
        call("CreatePolicy", policyName="p1", policyDocument=ALLOW_ALL)
        call("CreatePolicy", policyName="p2", policyDocument=policy(("Deny", "iot:Publish", ARN + "topic/x")), tags=TAGS)
        call("CreatePolicyVersion", policyName="p1", policyDocument=ALLOW_ALL)
        call("CreatePolicyVersion", policyName="p1", policyDocument=ALLOW_ALL, setAsDefault=True)
        call("GetPolicy", policyName="p1")
        call("GetPolicyVersion", policyName="p1", policyVersionId="2")
        call("SetDefaultPolicyVersion", policyName="p1", policyVersionId="1")
        call("ListPolicyVersions", policyName="p1")
        call("DeletePolicyVersion", policyName="p1", policyVersionId="2")
        call("AttachPolicy", policyName="p1", target=arn)
        call("AttachPolicy", policyName="p1", target=ARN + "thinggroup/g1")
        for principal in (arn, self.other):
            call("AttachPrincipalPolicy", policyName="p2", principal=principal)
        self.pages("ListPolicies", "policies")
        self.pages("ListAttachedPolicies", "policies", target=arn)
        call("ListAttachedPolicies", target=ARN + "thinggroup/g2", recursive=True)
        self.pages("ListTargetsForPolicy", "targets", policyName="p1")
        self.pages("ListPrincipalPolicies", "policies", principal=arn)
        self.pages("ListPolicyPrincipals", "principals", policyName="p2")
        call("GetEffectivePolicies", principal=arn)
        call("GetEffectivePolicies", principal=arn, thingName="t1", cognitoIdentityPoolId="us-east-1:0")
        asked = [{"actionType": "PUBLISH", "resources": [ARN + "topic/x", ARN + "topic/y"]}]
        call("TestAuthorization", principal=arn, authInfos=asked)
        call("TestAuthorization", principal=arn, authInfos=asked * 10, clientId="t1", policyNamesToAdd=["p2"], policyNamesToSkip=["p1"],
             cognitoIdentityPoolId="us-east-1:0")
        for principal in (arn, self.other):
            call("DetachPrincipalPolicy", policyName="p2", principal=principal)
        call("DetachPolicy", policyName="p1", target=ARN + "thinggroup/g1")
        self.tagged("policy/p2")
        call("DeletePolicy", policyName="p2")

    def authorizers(self):
        call = self.call
        function = "arn:aws:lambda:us-east-1:000000000000:function:none"
        self.pki.run("genrsa", "-out", "token.key", "2048")
        self.pki.run("rsa", "-in", "token.key", "-pubout", "-out", "token.pem")
        keys = {"k": self.pki.read("token.pem")}
        call("CreateAuthorizer", authorizerName="a1", authorizerFunctionArn=function, signingDisabled=True)
        call("CreateAuthorizer", authorizerName="a2", authorizerFunctionArn=function, tokenKeyName="key", tokenSigningPublicKeys=keys,
             status="ACTIVE", tags=TAGS, signingDisabled=False, enableCachingForHttp=True)
        call("DescribeAuthorizer", authorizerName="a2")
        call("UpdateAuthorizer", authorizerName="a1")
        call("UpdateAuthorizer", authorizerName="a2", authorizerFunctionArn=function, tokenKeyName="key2", tokenSigningPublicKeys=keys,
             status="ACTIVE", enableCachingForHttp=False)
        self.pages("ListAuthorizers", "authorizers")
        call("ListAuthorizers", status="ACTIVE")
        call("SetDefaultAuthorizer", authorizerName="a2")
        call("DescribeDefaultAuthorizer")
        call("ClearDefaultAuthorizer")
        # Its function cannot be called; that a function answers is tried elsewhere.
        self.base["TestInvokeAuthorizer"] = {"authorizerName": "a1"}
        for parameters in ({"authorizerName": "a1"}, {"authorizerName": "a1", "token": "t", "httpContext": {"headers": {"a": "b"}, "queryString": "?"},
                                                      "mqttContext": {"username": "u", "password": b"p", "clientId": "c"},
                                                      "tlsContext": {"serverName": "s"}, "tokenSignature": "YQ=="}):
            reply = self.caller.call("iot", "TestInvokeAuthorizer", parameters)
            self.assertEqual(reply.error, "InvalidResponseException")
            self.hold("TestInvokeAuthorizer", self.model.operation("iot", "TestInvokeAuthorizer"), reply, parameters)
            self.used.setdefault("TestInvokeAuthorizer", set()).update(parameters)
        call("UpdateAuthorizer", authorizerName="a1", status="INACTIVE")
        call("DeleteAuthorizer", authorizerName="a1")

    def provisioning(self):
        call = self.call
        create, hook = "CreateProvisioningTemplate", {"targetArn": "arn:aws:lambda:us-east-1:000000000000:function:none"}
        made = call(create, templateName="one", templateBody=TEMPLATE, provisioningRoleArn=ROLE)
        self.assertEqual(made, {"templateArn": ARN + "provisioningtemplate/one", "templateName": "one", "defaultVersionId": 1})
        call(create, templateName="two", templateBody=TEMPLATE, provisioningRoleArn=ROLE, description="d", enabled=True, type="FLEET_PROVISIONING",
             preProvisioningHook={**hook, "payloadVersion": "2020-04-01"}, tags=TAGS)
        call("CreateProvisioningTemplateVersion", templateName="one", templateBody=TEMPLATE)
        call("CreateProvisioningTemplateVersion", templateName="one", templateBody=TEMPLATE, setAsDefault=True)
        call("DescribeProvisioningTemplate", templateName="two")
        call("DescribeProvisioningTemplateVersion", templateName="one", versionId=2)
        self.pages("ListProvisioningTemplates", "templates")
        self.pages("ListProvisioningTemplateVersions", "versions", templateName="one")
        call("UpdateProvisioningTemplate", templateName="one")
        call("UpdateProvisioningTemplate", templateName="one", description="e", enabled=True, defaultVersionId=1, provisioningRoleArn=ROLE + "2",
             preProvisioningHook=hook)
        call("UpdateProvisioningTemplate", templateName="one", removePreProvisioningHook=True)
        call("DeleteProvisioningTemplateVersion", templateName="one", versionId=2)
        self.tagged("provisioningtemplate/two")
        call("DeleteProvisioningTemplate", templateName="two")
        with open(self.pki.path("csr.csr")) as file:
            csr = file.read()
        made = call("RegisterThing", parameters={"CSR": csr, "More": "x"}, templateBody=json.dumps({
            "Parameters": {"CSR": {"Type": "String"}},
            "Resources": {"c": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateSigningRequest": {"Ref": "CSR"}}},
                          "p": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": ALLOW_ALL}},
                          "t": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": "registered"}}}}))
        self.assertEqual(made["resourceArns"]["t"], ARN + "thing/registered")

    def domains_and_aliases(self):
        call = self.call
        create = "CreateDomainConfiguration"
        call(create, domainConfigurationName="c1")
        call(create, domainConfigurationName="c2", domainName="c2.example.com", serverCertificateArns=[ACM], validationCertificateArn=ACM,
             authorizerConfig={"defaultAuthorizerName": "a2", "allowAuthorizerOverride": True}, serviceType="DATA", tags=TAGS,
             tlsConfig={"securityPolicy": "IoTSecurityPolicy_TLS13_1_2_2022_10"}, authenticationType="DEFAULT", applicationProtocol="DEFAULT",
             serverCertificateConfig={"enableOCSPCheck": False}, clientCertificateConfig={"clientCertificateCallbackArn": ""})
        call("DescribeDomainConfiguration", domainConfigurationName="c2")
        call("DescribeDomainConfiguration", domainConfigurationName="iot:Data-ATS")
        self.pages("ListDomainConfigurations", "domainConfigurations")
        call("ListDomainConfigurations", serviceType="DATA")
        call("UpdateDomainConfiguration", domainConfigurationName="c1")
        call("UpdateDomainConfiguration", domainConfigurationName="c2", authorizerConfig={"allowAuthorizerOverride": False},
             domainConfigurationStatus="DISABLED", tlsConfig={"securityPolicy": "IoTSecurityPolicy_TLS13_1_3_2022_10"},
             authenticationType="AWS_X509", applicationProtocol="SECURE_MQTT", serverCertificateConfig={"enableOCSPCheck": True},
             clientCertificateConfig={"clientCertificateCallbackArn": "arn:aws:lambda:us-east-1:000000000000:function:none"})
        call("UpdateDomainConfiguration", domainConfigurationName="c2", removeAuthorizerConfig=True)
        call("DeleteDomainConfiguration", domainConfigurationName="c2")
        call("CreateRoleAlias", roleAlias="r1", roleArn=ROLE)
        call("CreateRoleAlias", roleAlias="r2", roleArn=ROLE, credentialDurationSeconds=900, tags=TAGS)
        call("DescribeRoleAlias", roleAlias="r2")
        self.pages("ListRoleAliases", "roleAliases")
        call("UpdateRoleAlias", roleAlias="r1", roleArn=ROLE, credentialDurationSeconds=43200)
        self.tagged("rolealias/r2")
        call("DeleteRoleAlias", roleAlias="r2")

    def tagged(self, resource):
        """What creating it said of its tags."""
        tags = self.call("ListTagsForResource", resourceArn=ARN + resource)["tags"]
        if tags != TAGS:
            self.problems.append(f"{resource} has the tags {tags}")

    def account(self):
        call = self.call
        group = ARN + "thinggroup/g3"
        call("TagResource", resourceArn=group, tags=[{"Key": "k"}, {"Key": "l", "Value": "v"}])
        call("ListTagsForResource", resourceArn=group)
        call("UntagResource", resourceArn=group, tagKeys=["k"])
        for resource in ("thingtype/lamp", "billinggroup/bob", "thinggroup/g2", "authorizer/a2"):
            self.tagged(resource)
        for endpoint in ("iot:Data", "iot:Data-ATS", "iot:CredentialProvider", "iot:Jobs"):
            call("DescribeEndpoint", endpointType=endpoint)
        call("UpdateEventConfigurations", eventConfigurations={"THING": {"Enabled": True}, "JOB": {}})
        call("DescribeEventConfigurations")
        call("SetV2LoggingOptions", roleArn=ROLE, defaultLogLevel="INFO", disableAllLogs=False)
        call("GetV2LoggingOptions")
        call("SetV2LoggingLevel", logTarget={"targetType": "THING_GROUP", "targetName": "g1"}, logLevel="DEBUG")
        call("SetV2LoggingLevel", logTarget={"targetType": "CLIENT_ID", "targetName": "t1"}, logLevel="DEBUG")
        self.pages("ListV2LoggingLevels", "logTargetConfigurations")
        call("ListV2LoggingLevels", targetType="CLIENT_ID")
        call("DeleteV2LoggingLevel", targetType="CLIENT_ID", targetName="t1")
        call("SetLoggingOptions", loggingOptionsPayload={"roleArn": ROLE, "logLevel": "ERROR"})
        call("GetLoggingOptions")

    def messages(self):
        call = self.call
        call("Publish", topic="a/b")
        call("Publish", topic="a/b", qos=1, retain=True, payload=b"x", userProperties=json.dumps([{"k": "v"}]),
             payloadFormatIndicator="UTF8_DATA", contentType="text/plain", responseTopic="r", correlationData="Yg==", messageExpiry=60)
        call("Publish", topic="a/c", qos=1, retain=True, payload=b"y")
        call("GetRetainedMessage", topic="a/b")
        self.pages("ListRetainedMessages", "retainedTopics")

    def endings(self):
        call = self.call
        for principal in (self.certificate["certificateArn"], self.other):
            call("DetachThingPrincipal", thingName="t1", principal=principal)
        call("DeleteThing", thingName="t1")
        call("DeleteThing", thingName="t2", expectedVersion=2)
        call("DeleteBillingGroup", billingGroupName="bill")
        call("DeleteBillingGroup", billingGroupName="bob", expectedVersion=1)
        call("DeleteThingGroup", thingGroupName="g2", expectedVersion=2)
        call("DeprecateThingType", thingTypeName="plain")
        call("DeprecateThingType", thingTypeName="plain", undoDeprecate=True)

    def test_every_operation_as_its_model_has_it(self):
        self.things()
        self.billing_groups()
        self.groups()
        self.certificates()
        self.principals()
        self.policies()
        self.authorizers()
        self.provisioning()
        self.domains_and_aliases()
        self.account()
        self.messages()
        self.endings()
        # Needs five minutes of deprecation.
        self.base["DeleteThingType"] = {"thingTypeName": "plain"}
        self.used["DeleteThingType"] = {"thingTypeName"}
        for name, row in self.rows.items():
            shape = self.model.operation(row["service"], name).input_shape
            unused = set(shape.members if shape is not None else ()) - self.used.get(name, set()) - UNPAGED.get(name, set())
            if name not in self.base or unused:
                self.problems.append(f"{name} was never called with {sorted(unused)}")
            else:
                self.beyond_bounds(name, row["service"])
        self.assertEqual(self.problems, [], "\n" + "\n".join(self.problems))

    # -- beyond the model --

    def expect(self, name, parameters, status, error, why):
        operation = self.model.operation(self.rows[name]["service"], name)
        reply = self.caller.call(self.rows[name]["service"], name, parameters)
        if (reply.status, reply.error if reply.status >= 300 else error) != (status, error):
            self.problems.append(f"{name}: {why}: {reply.status} {reply.error} {reply.body[:200]!r}, not {status} {error}")
        self.hold(name, operation, reply, why)

    def beyond_bounds(self, name, service):
        operation = self.model.operation(service, name)
        shape = operation.input_shape
        base = self.base[name]
        if shape is None:
            return
        for path, member in contract.places(shape, base):
            in_path = shape.members[path[0]].serialization.get("location") == "uri"
            for value in contract.bad_values(member):
                if (in_path or member.type_name != "string") and value == "":
                    continue
                if (name, path) not in LENIENT:
                    self.expect(name, contract.with_value(shape, base, path, value), 400, "InvalidRequestException", f"{path} is {str(value)[:80]!r}")
            for value in contract.edge_values(member):
                self.at_the_bound(name, operation, contract.with_value(shape, base, path, value), path, value)
        for member in shape.required_members:
            if shape.members[member].serialization.get("location") != "uri":
                self.expect(name, {k: v for k, v in base.items() if k != member}, 400, "InvalidRequestException", f"{member} is missing")
        self.wrong_types(name, operation, base)
        self.absent(name, operation, base)

    def at_the_bound(self, name, operation, parameters, path, value):
        reply = self.caller.call(self.rows[name]["service"], name, parameters)
        if reply.status >= 300 and b"satisfy constraint" in reply.body:
            self.problems.append(f"{name}: {path} may be {str(value)[:60]!r}: {reply.body[:200]!r}")
        self.hold(name, operation, reply, f"{path} is {str(value)[:60]!r}")

    def wrong_types(self, name, operation, base):
        service = self.rows[name]["service"]
        shape = operation.input_shape
        if shape.serialization.get("payload"):
            return
        for member, each in shape.members.items():
            if each.serialization.get("location") is not None:
                continue
            for value in contract.wrong_types(each):
                method, path, _, headers = self.caller.request(service, name, base)
                body = {k: v for k, v in base.items() if shape.members[k].serialization.get("location") is None}
                body[each.serialization.get("name", member)] = value
                headers["Content-Type"] = "application/json"
                reply = self.caller.send(service, method, path, json.dumps(body, default=str).encode(), headers)
                if reply.status != 400:
                    self.problems.append(f"{name}: {member} is {value!r}: {reply.status} {reply.body[:200]!r}")
                self.hold(name, operation, reply, f"{member} is {value!r}")

    def absent(self, name, operation, base):
        """Names of what is not there, one at a time."""
        others = {"thingName": "absent", "thingTypeName": "absent", "thingGroupName": "absent", "billingGroupName": "absent", "policyName": "absent",
                  "authorizerName": "absent", "roleAlias": "absent", "domainConfigurationName": "absent", "certificateId": "0" * 64,
                  "caCertificateId": "0" * 64, "topic": "absent"}
        if operation.name.startswith(("Create", "Publish", "ListCertificatesByCA", "ListThings", "SetV2", "TestAuthorization")) \
                and operation.name != "CreatePolicyVersion":
            return
        modelled = {each.name for each in operation.error_shapes}
        for member, value in others.items():
            if member not in operation.input_shape.required_members:
                continue
            reply = self.caller.call(self.rows[name]["service"], name, {**base, member: value})
            expected = ABSENT.get(name, "ResourceNotFoundException")
            if expected != 200 and expected not in modelled:
                expected = 200
            got = 200 if reply.status == 200 else reply.error
            if got != expected:
                self.problems.append(f"{name}: {member} does not exist: {reply.status} {reply.error} {reply.body[:160]!r}, not {expected}")
            self.hold(name, operation, reply, f"{member} does not exist")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
