// What the suites share: the unchanged client, pointed at AIPROXY_BASE_URL.

import { randomUUID } from "node:crypto";
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
