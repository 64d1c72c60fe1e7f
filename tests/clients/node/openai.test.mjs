// The OpenAI client, unchanged but for its base URL. Passes against the mock and through the proxy alike.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import OpenAI, { toFile } from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { baseURL, collect, messages, newClient } from "./support.mjs";

const client = newClient();
const chat = (options, more) => client.chat.completions.create({ messages, ...options }, more);
const Person = z.object({ name: z.string(), age: z.number() });
const ada = { name: "Ada", age: 36 };
const tools = ["get_weather", "get_time"].map((name) => ({
  type: "function",
  function: {
    name,
    strict: true,
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
      additionalProperties: false,
    },
  },
}));
const calls = [
  ["call_mock_0", "get_weather", '{"city":"Paris"}'],
  ["call_mock_1", "get_time", '{"city":"Oslo"}'],
];
const callsOf = (message) =>
  message.tool_calls.map((call) => [call.id, call.function.name, call.function.arguments]);

// === chat ===

test("chat", async () => {
  const answer = await chat({ model: "mock" });
  assert.match(answer.choices[0].message.content, /^the quick brown fox/);
  assert.equal(answer.usage.total_tokens, 31);
  assert.match(answer._request_id, /^req_mock_/);
});

test("base URL without version", async () => {
  const bare = newClient({ baseURL: baseURL.replace(/\/v1$/, "") });
  assert.ok((await bare.chat.completions.create({ model: "mock", messages })).choices.length);
});

for (const model of ["mock-s50", "mock-s50-d2", "mock-s50-utf8", "mock-s5-bytes1", "mock-s20-crlf"]) {
  test(`stream ${model}`, async () => {
    const chunks = await collect(await chat({ model, stream: true }));
    const deltas = chunks.map((chunk) => chunk.choices[0].delta.content).filter(Boolean);
    const numbers = deltas.map((delta) => Number(delta.slice(1, 7)));
    assert.deepEqual(numbers, [...numbers.keys()]);
    assert.ok(numbers.length >= 5);
    assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
  });
}

test("stream with usage", async () => {
  const options = { model: "mock-s7", stream: true, stream_options: { include_usage: true } };
  const chunks = await collect(await chat(options));
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.equal(chunks.at(-1).usage.completion_tokens, 7);
});

test("many at once", async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, () => chat({ model: "mock" })));
  assert.equal(new Set(answers.map((answer) => answer.id)).size, 20);
});

test("large question and answer", async () => {
  const content = "ä".repeat(1_000_000);
  const answer = await chat({ model: "mock-b2m", messages: [{ role: "user", content }] });
  assert.ok(answer.choices[0].message.content.length > 2_000_000);
});

// === tools, structured output, images ===

test("parallel tools", async () => {
  const answer = await chat({ model: "mock-tools", tools });
  assert.equal(answer.choices[0].finish_reason, "tool_calls");
  assert.deepEqual(callsOf(answer.choices[0].message), calls);
});

test("parallel tools, streamed", async () => {
  const runner = client.chat.completions.stream({ model: "mock-tools", messages, tools });
  let pieces = 0;
  runner.on("tool_calls.function.arguments.delta", () => (pieces += 1));
  const final = await runner.finalChatCompletion();
  assert.deepEqual(callsOf(final.choices[0].message), calls);
  assert.ok(pieces >= 7);
});

test("structured output", async () => {
  const response_format = zodResponseFormat(Person, "person");
  const answer = await client.chat.completions.parse({ model: "mock-json", messages, response_format });
  assert.deepEqual(answer.choices[0].message.parsed, ada);
  const stream = client.chat.completions.stream({ model: "mock-json", messages, response_format });
  assert.deepEqual((await stream.finalChatCompletion()).choices[0].message.parsed, ada);
});

test("refusal and no content", async () => {
  const refused = await chat({ model: "mock-refusal" });
  assert.equal(refused.choices[0].message.refusal, "I can't help with that.");
  assert.equal((await chat({ model: "mock-null" })).choices[0].message.content, null);
});

test("vision", async () => {
  const url = "data:image/png;base64," + "A".repeat(300_000);
  const content = [{ type: "text", text: "what is it?" }, { type: "image_url", image_url: { url } }];
  const answer = await chat({ model: "mock-vision", messages: [{ role: "user", content }] });
  assert.equal(answer.choices[0].message.content, "images: 1, url bytes: [300022]");
});

// === other endpoints ===

test("completions", async () => {
  const answer = await client.completions.create({ model: "mock", prompt: "say" });
  assert.match(answer.choices[0].text, /^the quick/);
  const stream = await client.completions.create({ model: "mock-s3", prompt: "say", stream: true });
  assert.equal((await collect(stream)).length, 4);
});

test("embeddings", async () => {
  const ask = { model: "mock", input: ["a", "b"], dimensions: 16 };
  const answer = await client.embeddings.create(ask);
  const floats = await client.embeddings.create({ ...ask, encoding_format: "float" });
  assert.deepEqual(answer.data.map((item) => item.embedding), floats.data.map((item) => item.embedding));
  assert.equal(answer.data[1].embedding.length, 16);
});

test("models", async () => {
  const ids = (await collect(client.models.list())).map((model) => model.id);
  assert.ok(ids.includes("mock-s200-d20"));
  assert.equal((await client.models.retrieve("acme/mock")).id, "acme/mock");
});

test("responses", async () => {
  const answer = await client.responses.create({ model: "mock", input: "say something" });
  assert.match(answer.output_text, /^the quick/);
  const text = { format: zodTextFormat(Person, "person") };
  const parsed = await client.responses.parse({ model: "mock-json", input: "who?", text });
  assert.deepEqual(parsed.output_parsed, ada);
});

test("responses, streamed", async () => {
  const runner = client.responses.stream({ model: "mock-s5", input: "say something" });
  const events = await collect(runner);
  const deltas = events.filter((event) => event.type === "response.output_text.delta");
  const final = await runner.finalResponse();
  assert.equal(final.output_text, deltas.map((event) => event.delta).join(""));
  assert.equal(final.usage.output_tokens, 5);
});

test("audio upload", async () => {
  const data = Buffer.from(Array.from({ length: 1 << 20 }, (_, at) => (at * 31) % 256));
  const file = await toFile(data, "speech.wav", { type: "audio/wav" });
  const answer = await client.audio.transcriptions.create({ model: "mock", file });
  const part = answer.upload.find((part) => part.filename);
  assert.equal(part.bytes, data.length);
  assert.equal(part.sha256, createHash("sha256").update(data).digest("hex"));
});

test("speech", async () => {
  const speech = await client.audio.speech.create({ model: "mock-b100000", voice: "alloy", input: "x" });
  const bytes = new Uint8Array(await speech.arrayBuffer());
  assert.equal(bytes.length, 100_000);
  assert.ok(bytes.every((byte, at) => byte === (at * 7 + Math.floor(at / 256)) % 256));
});

// === errors, retries, leaving ===

const classes = {
  400: OpenAI.BadRequestError,
  401: OpenAI.AuthenticationError,
  403: OpenAI.PermissionDeniedError,
  404: OpenAI.NotFoundError,
  409: OpenAI.ConflictError,
  422: OpenAI.UnprocessableEntityError,
  429: OpenAI.RateLimitError,
  500: OpenAI.InternalServerError,
  503: OpenAI.InternalServerError,
};
for (const [status, kind] of Object.entries(classes)) {
  for (const stream of [false, true]) {
    test(`error ${status}${stream ? ", streamed" : ""}`, async () => {
      await assert.rejects(chat({ model: `mock-err-${status}`, stream }), (error) => {
        assert.ok(error instanceof kind);
        assert.match(error.message, new RegExp(`mock error ${status}`));
        return true;
      });
    });
  }
}

test("error inside a stream", async () => {
  const stream = await chat({ model: "mock-s6-errevent", stream: true });
  await assert.rejects(collect(stream), /mock error inside the stream/);
});

test("retries", async () => {
  const model = "mock-err-503-times-2-after-0";
  const ask = (maxRetries) =>
    newClient({ maxRetries }).chat.completions.create({ model, messages });
  assert.ok((await ask(2)).choices.length);
  await assert.rejects(ask(1), OpenAI.InternalServerError);
});

test("x-should-retry is obeyed", async () => {
  const ask = (model) => newClient({ maxRetries: 2 }).chat.completions.create({ model, messages });
  await assert.rejects(ask("mock-err-500-times-1-noretry"), OpenAI.InternalServerError);
  assert.ok((await ask("mock-err-400-times-1-retry-after-0")).choices.length);
});

test("retry-after is obeyed", async () => {
  const begun = performance.now();
  const twice = newClient({ maxRetries: 1 });
  await twice.chat.completions.create({ model: "mock-err-429-times-1-after-1", messages });
  assert.ok(performance.now() - begun >= 990);
});

test("time limit", async () => {
  // Whoever asks for a whole answer and ends the connection is answered still: no longer than this, or the end of all waits for it.
  await assert.rejects(chat({ model: "mock-slow-3000" }, { timeout: 300 }), OpenAI.APIConnectionTimeoutError);
});

test("leaving a stream", async () => {
  const stream = await chat({ model: "mock-s1000-d20", stream: true });
  let seen = 0;
  for await (const _ of stream) if ((seen += 1) === 3) break;
  assert.equal(seen, 3);
  assert.ok((await chat({ model: "mock" })).choices.length);
});
