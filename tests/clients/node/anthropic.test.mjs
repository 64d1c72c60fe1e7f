// Anthropic's client, unchanged but for its base URL: natively, and with its messages and OpenAI's chats translated. The
// record and the mock are looked at where a client leaves.

import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { baseURL, collect, leave, messages, newClient } from "./support.mjs";

const claude = new Anthropic({
  baseURL: baseURL.replace(/\/v1$/, ""),
  apiKey: "sk-ant-client-tests",
  maxRetries: 0,
  timeout: 20_000,
});
const openai = newClient();
const ask = (model, more, options) => claude.messages.create({ model, max_tokens: 64, messages, ...more }, options);
const chat = (model, more, options) => openai.chat.completions.create({ model, messages, ...more }, options);
const data = "iVBORw0KGgo=";
const url = `data:image/png;base64,${data}`;
/** What the mock says of the image: OpenAI's are URLs, others' are what stands in them. */
const seen = (provider) => `images: 1, url bytes: [${(provider === "openai" ? url : data).length}]`;
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

  test(`vision by ${provider}`, async () => {
    const source = { type: "base64", media_type: "image/png", data };
    const content = [{ type: "text", text: "what is it?" }, { type: "image", source }];
    const answer = await ask(`${provider}/mock-vision`, { messages: [{ role: "user", content }] });
    assert.equal(answer.content[0].text, seen(provider));
  });

  test(`leaving a message by ${provider}`, async () => {
    await leave(provider, (model, options) => ask(model, { stream: true }, options));
  });
}

for (const provider of ["openai", "anthropic", "gemini"]) {
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

  test(`vision of a chat by ${provider}`, async () => {
    const content = [{ type: "text", text: "what is it?" }, { type: "image_url", image_url: { url } }];
    const answer = await chat(`${provider}/mock-vision`, { messages: [{ role: "user", content }] });
    assert.equal(answer.choices[0].message.content, seen(provider));
  });

  test(`errors of a chat by ${provider}`, async () => {
    for (const stream of [false, true]) {
      await assert.rejects(chat(`${provider}/mock-err-429`, { stream }), OpenAI.RateLimitError);
      await assert.rejects(chat(`${provider}/mock-err-400`, { stream }), OpenAI.BadRequestError);
    }
    const broken = await chat(`${provider}/mock-s20-cut-5`, { stream: true });
    await assert.rejects(collect(broken), OpenAI.APIError);
  });

  test(`leaving a chat by ${provider}`, async () => {
    await leave(provider, (model, options) => chat(model, { stream: true }, options));
  });
}
