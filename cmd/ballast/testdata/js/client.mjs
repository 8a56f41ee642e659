// SPDX-License-Identifier: Apache-2.0
// What an integrator writes, with the independent NATS client: wait for money,
// publish a grid signal, see the command that follows from it.
//
//   node client.mjs nats://127.0.0.1:4222 demo [deadline-seconds]
import { connect } from "@nats-io/transport-node";
import { jetstream } from "@nats-io/jetstream";

const [servers, site, deadline = "60"] = process.argv.slice(2);
const nc = await connect({ servers, name: "js-client" });
const js = jetstream(nc);
const say = (step, detail) => console.log(JSON.stringify({ step, ...detail }));

setTimeout(() => {
  say("gave up", { after_seconds: Number(deadline) });
  process.exit(1);
}, Number(deadline) * 1000).unref();

// The subject says what it is: <prefix>.<site>.<type…>.<source>.
async function next(sub, step) {
  for await (const m of sub) {
    const data = m.json();
    say(step, { subject: m.subject, data });
    return data;
  }
}

const money = nc.subscribe(`ballast.${site}.revenue.accrued.*`);
const accrued = await next(money, "revenue");
if (!Number.isSafeInteger(accrued.value_millisats)) throw new Error("value_millisats is no safe integer");
money.unsubscribe();

const commands = nc.subscribe(`ballast.${site}.command.>`);
await nc.flush();
const ack = await js.publish(
  `ballast.${site}.grid.signal.js-client`,
  JSON.stringify({ kind: "curtail", power_watts: 0, duration_seconds: 60, programme: "js", reason: "EEA2" }),
);
say("stored", { stream: ack.stream, sequence: ack.seq });
for await (const m of commands) {
  const c = m.json();
  say("command", { subject: m.subject, data: c });
  if (c.reason === "grid-curtail") break;
}
await nc.close();
