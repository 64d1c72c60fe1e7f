// What the suites share: the unchanged client, pointed at AIPROXY_BASE_URL.

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
