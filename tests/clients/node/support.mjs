// What the suites share: the unchanged client, pointed at AIPROXY_BASE_URL.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import OpenAI from "openai";

/** Base URL with its version, such as http://127.0.0.1:8000/v1. */
export const baseURL = process.env.AIPROXY_BASE_URL;
if (!baseURL) throw new Error("AIPROXY_BASE_URL is not set");

export const messages = [{ role: "user", content: "say something" }];

export function newClient(options = {}) {
  return new OpenAI({
    baseURL,
    apiKey: "sk-client-tests",
    maxRetries: 0,
    timeout: 20_000,
    defaultHeaders: { "x-test-id": randomUUID() },
    ...options,
  });
}

export async function collect(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}

const aiproxyLogs = promisify(execFile);

/** What `aiproxy logs` prints, an object a line. */
export async function logs(...args) {
  const { stdout } = await aiproxyLogs(process.env.AIPROXY_LOGS, args, { maxBuffer: 1 << 26 });
  return stdout.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

/** Rows of an end user, oldest first, as soon as there are so many: they reach SQL moments after their answers. */
export async function rowsOf(user, count) {
  const until = performance.now() + 10_000;
  for (;;) {
    const rows = await logs("--user", user);
    if (rows.length >= count) return rows.reverse();
    if (performance.now() > until) throw new Error(`${rows.length} rows of ${count}`);
    await setTimeout(20);
  }
}

/** Waits until the mock has so many streams that it has not ended yet. */
async function openStreams(count) {
  const until = performance.now() + 10_000;
  for (;;) {
    const stats = await fetch(`${process.env.AIPROXY_MOCK_URL}/__mock/stats`);
    const { open_streams } = await stats.json();
    if (open_streams === count) return;
    if (performance.now() > until) throw new Error(`${open_streams} open streams in place of ${count}`);
    await setTimeout(20);
  }
}

/** Leaves a stream of twenty seconds: the provider's ends as well, and the row says who went. `ask` gets a model and options. */
export async function leave(provider, ask) {
  const user = randomUUID();
  await openStreams(0);
  let seen = 0;
  for await (const _ of await ask(`${provider}/mock-s1000-d20`, { headers: { "x-aiproxy-user": user } })) {
    if ((seen += 1) < 4) continue;
    await openStreams(1);
    break;
  }
  await openStreams(0);
  const [row] = await rowsOf(user, 1);
  assert.deepEqual([row.provider, row.outcome, row.response_complete], [provider, "client_disconnected", false]);
  assert.match(row.response_text, /^w000000 /);
}
