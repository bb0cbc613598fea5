// An app in Node for the tests: takes method calls as lines of JSON, prints what its client hears.

import { createInterface } from "node:readline";

const [, , sdk, options] = process.argv;
const { TrackerClient } = await import(sdk);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const { tokens, ...rest } = JSON.parse(options);
const client = new TrackerClient({
  ...rest,
  ...(tokens && { getToken: () => tokens.shift() ?? "none left" }),
  onMessage: (message) => say({ message, pending: client.pending }),
  onStatus: (status) => say({ status }),
});
for await (const line of createInterface({ input: process.stdin })) {
  const [method, ...values] = JSON.parse(line);
  client[method](...values);
}
client.disconnect();
process.exit(0);
