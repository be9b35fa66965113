// One shadow's life with aws-iot-device-sdk (the old one): node shadow_v1.js THING PORT CA CERT KEY
const assert = require("assert");
const { thingShadow } = require("aws-iot-device-sdk");

const [thing, port, caPath, certPath, keyPath] = process.argv.slice(2);
const shadows = thingShadow({ host: "localhost", port: Number(port), caPath, certPath, keyPath, clientId: thing, clean: true });

const answers = new Map();  // by token
const deltas = [];
let delta_arrived = () => {};
shadows.on("status", (name, status, token, answer) => {
  assert.strictEqual(name, thing);
  const done = answers.get(token);
  answers.delete(token);
  done({ status, answer });
});
shadows.on("delta", (name, answer) => { deltas.push(answer); delta_arrived(); });
shadows.on("timeout", (name, token) => { throw new Error(`no answer for ${token}`); });
shadows.on("error", (error) => { throw error; });

function ask(operation, ...values) {
  return new Promise((done, failed) => {
    const token = shadows[operation](thing, ...values);
    if (token === null) { failed(new Error(`${operation} is still under way`)); }
    answers.set(token, done);
  });
}

async function main() {
  await new Promise((done) => shadows.on("connect", done));
  await new Promise((done, failed) => shadows.register(thing, {}, (error, refused) => {
    error || refused ? failed(error || refused) : done();
  }));
  assert.deepStrictEqual([(await ask("get")).answer.code], [404]);
  const delta = new Promise((done) => { delta_arrived = done; });
  const created = await ask("update", { state: { desired: { speed: 3 } } });
  assert.strictEqual(created.status, "accepted");
  await delta;
  assert.deepStrictEqual(deltas[0].state, { speed: 3 });
  // From now on the client sends the version that it knows.
  assert.strictEqual((await ask("update", { state: { reported: { speed: 3 } } })).status, "accepted");
  const got = await ask("get");
  assert.strictEqual(got.status, "accepted");
  assert.deepStrictEqual(got.answer.state, { desired: { speed: 3 }, reported: { speed: 3 } });
  const wrong = await ask("update", { state: { reported: 4 } });
  assert.deepStrictEqual([wrong.status, wrong.answer.code], ["rejected", 400]);
  assert.strictEqual((await ask("delete")).status, "accepted");
  assert.strictEqual((await ask("get")).status, "rejected");
  shadows.end(true, () => { console.log("ok"); process.exit(0); });
}

main().catch((error) => { console.error(error); process.exit(1); });
