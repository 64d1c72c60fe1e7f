// Anthropic's client, unchanged but for its base URL: natively, and with its messages and OpenAI's chats translated.

import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { baseURL, collect, messages, newClient } from "./support.mjs";

const claude = new Anthropic({
  baseURL: baseURL.replace(/\/v1$/, ""),
  apiKey: "sk-ant-client-tests",
  maxRetries: 0,
  timeout: 20_000,
});
const openai = newClient();
const ask = (model, more) => claude.messages.create({ model, max_tokens: 64, messages, ...more });
const chat = (model, more) => openai.chat.completions.create({ model, messages, ...more });
const city = { type: "object", properties: { city: { type: "string" } } };
const names = ["get_weather", "get_time"];
const tools = names.map((name) => ({ name, input_schema: city }));
const functions = names.map((name) => ({ type: "function", function: { name, parameters: city } }));

for (const provider of ["anthropic", "openai", "gemini"]) {
  test(`message by ${provider}`, async () => {
    const answer = await ask(`${provider}/mock`);
    assert.match(answer.content[0].text, /^the quick brown fox/);
    assert.equal(answer.stop_reason, "end_turn");
  });

  test(`stream by ${provider}`, async () => {
    const stream = claude.messages.stream({ model: `${provider}/mock-s50-utf8`, max_tokens: 64, messages });
    const final = await stream.finalMessage();
    assert.equal(final.content[0].text.match(/w\d{6}/g).length, final.content[0].text.match(/w\d/g).length);
    assert.equal(final.stop_reason, "end_turn");
  });

  test(`streamed tools by ${provider}`, async () => {
    const model = `${provider}/mock-tools`;
    const final = await claude.messages.stream({ model, max_tokens: 64, messages, tools }).finalMessage();
    const calls = final.content.map((call) => [call.name, call.input]);
    assert.deepEqual(calls, [["get_weather", { city: "Paris" }], ["get_time", { city: "Oslo" }]]);
  });

  test(`errors by ${provider}`, async () => {
    await assert.rejects(ask(`${provider}/mock-err-429`), Anthropic.RateLimitError);
    await assert.rejects(ask(`${provider}/mock-err-400`), Anthropic.BadRequestError);
  });

  test(`leaving early by ${provider}`, async () => {
    const stream = await ask(`${provider}/mock-s500-d5`, { stream: true });
    for await (const event of stream) {
      assert.equal(event.type, "message_start");
      break;
    }
  });
}

for (const provider of ["anthropic", "gemini"]) {
  test(`chat by ${provider}`, async () => {
    const answer = await chat(`${provider}/mock`);
    assert.match(answer.choices[0].message.content, /^the quick brown fox/);
    assert.ok(answer.usage.total_tokens > 0);
  });

  test(`streamed chat by ${provider}`, async () => {
    const chunks = await collect(await chat(`${provider}/mock-s50-utf8`, { stream: true }));
    assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
  });

  test(`tools of a streamed chat by ${provider}`, async () => {
    const model = `${provider}/mock-tools`;
    const stream = openai.chat.completions.stream({ model, messages, tools: functions });
    const { message } = (await stream.finalChatCompletion()).choices[0];
    const calls = message.tool_calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]);
    assert.deepEqual(calls, [["get_weather", { city: "Paris" }], ["get_time", { city: "Oslo" }]]);
  });
}
