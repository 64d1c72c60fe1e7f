// The OpenAI client before a model of two targets, the first of which fails again and again: nobody notices.

import assert from "node:assert/strict";
import { test } from "node:test";
import { collect, messages, newClient } from "./support.mjs";

const client = newClient({ baseURL: process.env.AIPROXY_OTHERS_URL, maxRetries: 2 });

test("chats", async () => {
  const attempts = new Set();
  for (let number = 0; number < 100; number += 1) {
    const { data, response } = await client.chat.completions.create({ model: "flapping", messages }).withResponse();
    assert.equal(data.choices[0].finish_reason, "stop");
    assert.equal(response.status, 200);
    attempts.add(response.headers.get("x-aiproxy-attempts"));
  }
  assert.ok(attempts.has("2"));
});

for (const model of ["flapping", "stillborn"]) {
  test(`streams of ${model}`, async () => {
    for (let number = 0; number < 15; number += 1) {
      const chunks = await collect(await client.chat.completions.create({ model, messages, stream: true }));
      const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
      assert.match(text, /^w000000 /);
      assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
    }
  });
}
