// The AWS SDK for JavaScript v3, unmodified, against the registry: node registry.mjs URL
import assert from "node:assert/strict";
import * as iotSdk from "@aws-sdk/client-iot";

const [url] = process.argv.slice(2);
const client = new iotSdk.IoTClient({
  endpoint: url,
  region: "us-east-1",
  credentials: { accessKeyId: process.env.KEY ?? "test", secretAccessKey: process.env.SECRET ?? "test" },
  maxAttempts: 1,
});
const call = (name, input = {}) => client.send(new iotSdk[name + "Command"](input));
const fails = (promise, name, status) =>
  assert.rejects(promise, (error) => {
    assert.equal(error.name, name);
    assert.equal(error.$metadata.httpStatusCode, status);
    assert.match(error.$metadata.requestId, /^[0-9a-f-]{36}$/);
    return true;
  });

// Things and their types.
const type = await call("CreateThingType", {
  thingTypeName: "js-lamp",
  thingTypeProperties: {
    thingTypeDescription: "a lamp",
    searchableAttributes: ["site"],
    mqtt5Configuration: { propagatingAttributes: [{ userPropertyKey: "site", thingAttribute: "site" }] },
  },
  tags: [{ Key: "team", Value: "light" }],
});
assert.match(type.thingTypeArn, /thingtype\/js-lamp$/);
await call("UpdateThingType", {
  thingTypeName: "js-lamp",
  thingTypeProperties: {
    mqtt5Configuration: { propagatingAttributes: [{ userPropertyKey: "id", connectionAttribute: "iot:ClientId" }] },
  },
});
const described = await call("DescribeThingType", { thingTypeName: "js-lamp" });
assert.deepEqual(described.thingTypeProperties.mqtt5Configuration.propagatingAttributes, [
  { userPropertyKey: "id", connectionAttribute: "iot:ClientId" },
]);
assert.ok(described.thingTypeMetadata.creationDate instanceof Date);
assert.deepEqual((await call("ListTagsForResource", { resourceArn: type.thingTypeArn })).tags, [{ Key: "team", Value: "light" }]);

for (let i = 0; i < 5; ++i) {
  await call("CreateThing", {
    thingName: `js-${i}`,
    thingTypeName: "js-lamp",
    attributePayload: { attributes: { site: i % 2 ? "north" : "south=[1]" } },
  });
}
await fails(call("CreateThing", { thingName: "js-0" }), "ResourceAlreadyExistsException", 409);
await fails(call("DescribeThing", { thingName: "none" }), "ResourceNotFoundException", 404);
await fails(call("UpdateThing", { thingName: "js-0", expectedVersion: 7 }), "VersionConflictException", 409);
await fails(call("CreateThing", { thingName: "no spaces" }), "InvalidRequestException", 400);

const names = [];
for await (const page of iotSdk.paginateListThings({ client, pageSize: 2 }, { thingTypeName: "js-lamp" })) {
  assert.ok(page.things.length <= 2);
  names.push(...page.things.map((thing) => thing.thingName));
}
assert.deepEqual(names, ["js-0", "js-1", "js-2", "js-3", "js-4"]);

// Groups.
const root = await call("CreateThingGroup", { thingGroupName: "js-root" });
await call("CreateThingGroup", { thingGroupName: "js-child", parentGroupName: "js-root" });
await call("AddThingToThingGroup", { thingGroupName: "js-child", thingName: "js-0" });
await call("UpdateThingGroupsForThing", { thingName: "js-1", thingGroupsToAdd: ["js-root"] });
assert.deepEqual((await call("ListThingsInThingGroup", { thingGroupName: "js-root", recursive: true })).things, ["js-1", "js-0"]);
assert.deepEqual((await call("ListThingsInThingGroup", { thingGroupName: "js-root" })).things, ["js-1"]);
const child = await call("DescribeThingGroup", { thingGroupName: "js-child" });
assert.deepEqual(child.thingGroupMetadata.rootToParentThingGroups, [{ groupName: "js-root", groupArn: root.thingGroupArn }]);
assert.deepEqual(Object.keys((await call("DescribeThingGroup", { thingGroupName: "js-root" })).thingGroupMetadata), ["creationDate"]);
assert.equal((await call("UpdateThingGroup", { thingGroupName: "js-root", thingGroupProperties: {}, expectedVersion: 1 })).version, 2);
await fails(call("DeleteThingGroup", { thingGroupName: "js-root" }), "InvalidRequestException", 400);

const dynamic = await call("CreateDynamicThingGroup", { thingGroupName: "js-north", queryString: "attributes.site:north" });
assert.equal(dynamic.indexName, "AWS_Things");
for (;;) {
  if ((await call("DescribeThingGroup", { thingGroupName: "js-north" })).status === "ACTIVE") break;
}
assert.deepEqual((await call("ListThingsInThingGroup", { thingGroupName: "js-north" })).things, ["js-1", "js-3"]);
await fails(call("CreateDynamicThingGroup", { thingGroupName: "js-bad", queryString: "a:(" }), "InvalidQueryException", 400);

await call("CreateBillingGroup", { billingGroupName: "js-bill", billingGroupProperties: { billingGroupDescription: "who pays" } });
await call("AddThingToBillingGroup", { billingGroupName: "js-bill", thingName: "js-2" });
assert.equal((await call("DescribeThing", { thingName: "js-2" })).billingGroupName, "js-bill");

// Principals.
const made = await call("CreateKeysAndCertificate", { setAsActive: true });
await call("AttachThingPrincipal", { thingName: "js-0", principal: made.certificateArn, thingPrincipalType: "EXCLUSIVE_THING" });
assert.deepEqual((await call("ListThingPrincipalsV2", { thingName: "js-0" })).thingPrincipalObjects, [
  { principal: made.certificateArn, thingPrincipalType: "EXCLUSIVE_THING" },
]);
assert.deepEqual((await call("ListPrincipalThingsV2", { principal: made.certificateArn, thingPrincipalType: "NON_EXCLUSIVE_THING" })).principalThingObjects, []);
await fails(call("AttachThingPrincipal", { thingName: "js-1", principal: made.certificateArn }), "InvalidRequestException", 400);
await fails(call("DeleteThing", { thingName: "js-0" }), "InvalidRequestException", 400);

// The account.
await call("UpdateEventConfigurations", { eventConfigurations: { THING: { Enabled: true } } });
const events = await call("DescribeEventConfigurations");
assert.equal(events.eventConfigurations.THING.Enabled, true);
assert.equal(events.eventConfigurations.JOB.Enabled, false);
await call("SetV2LoggingOptions", { roleArn: "arn:aws:iam::123456789012:role/log", defaultLogLevel: "INFO" });
await call("SetV2LoggingLevel", { logTarget: { targetType: "THING_GROUP", targetName: "js-root" }, logLevel: "DEBUG" });
assert.deepEqual((await call("ListV2LoggingLevels")).logTargetConfigurations, [
  { logTarget: { targetType: "THING_GROUP", targetName: "js-root" }, logLevel: "DEBUG" },
]);

// What is not there yet says so in AWS's form.
await assert.rejects(call("ListStreams"), (error) => error.name === "NotImplementedException" && error.$metadata.httpStatusCode === 501);
console.log("ok");
