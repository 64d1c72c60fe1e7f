// What the client sees of the proxy itself.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { collect, messages, newClient } from "./support.mjs";

const uuidV7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const client = newClient();
const chat = (options, more) => client.chat.completions.create({ messages, ...options }, more);

test("every answer has its id", async () => {
  const { response } = await chat({ model: "mock" }).withResponse();
  assert.match(response.headers.get("x-aiproxy-request-id"), uuidV7);
  assert.match(response.headers.get("server-timing"), /dur=/);
});

test("errors have their id too", async () => {
  await assert.rejects(chat({ model: "mock-err-400" }), (error) => {
    assert.match(error.headers.get("x-aiproxy-request-id"), uuidV7);
    return true;
  });
});

for (const [ending, code] of [["cut", "upstream_disconnected"], ["eof", "upstream_truncated"]]) {
  test(`a stream with ${ending} is an error`, async () => {
    const stream = await chat({ model: `mock-s6-${ending}`, stream: true });
    await assert.rejects(collect(stream), (error) => {
      assert.ok(error instanceof OpenAI.APIError);
      assert.equal(error.code, code);
      return true;
    });
  });
}

for (const oddity of ["bom", "emptydata", "noblank", "nodone"]) {
  test(`a stream with ${oddity} is repaired`, async () => {
    const chunks = await collect(await chat({ model: `mock-s3-${oddity}`, stream: true }));
    assert.equal(chunks.length, 5);
  });
}

test("replay", async () => {
  const { data, response } = await chat({ model: "mock" }).withResponse();
  const headers = { "x-aiproxy-replay": response.headers.get("x-aiproxy-request-id") };
  const replay = () => chat({ model: "mock" }, { headers }).withResponse();
  // A row may still be on its way to SQL: then 409, and asked for again.
  const until = performance.now() + 10_000;
  const again = (error) => {
    if (error.status !== 409 || performance.now() > until) throw error;
    return replay().catch(again);
  };
  const replayed = await replay().catch(again);
  assert.deepEqual(replayed.data, data);
  assert.ok(replayed.response.headers.get("x-aiproxy-replayed"));
});
