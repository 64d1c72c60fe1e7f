// Vercel's AI SDK, unchanged but for its base URL: each of its clients before its own provider and, by translation, before
// the others. What the record says is looked at as well.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogle } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, generateText, isStepCount, Output, StreamProviderError, streamText, tool } from "ai";
import { z } from "zod";
import { baseURL, collect, logs, rowsOf } from "./support.mjs";

const gemini = baseURL.replace(/\/v1$/, "/v1beta");
/** By the word that the record has for what they call: whose API it is, and a function from a model's name to the model. */
const clients = {
  "chat.completions": ["openai", (more) => createOpenAI({ baseURL, apiKey: "sk-client-tests", ...more }).chat],
  responses: ["openai", (more) => createOpenAI({ baseURL, apiKey: "sk-client-tests", ...more }).responses],
  messages: ["anthropic", (more) => createAnthropic({ baseURL, apiKey: "sk-ant-client-tests", ...more })],
  generate_content: [
    "gemini",
    // Without `models/`, what has a slash is a path of Gemini's API and not a model.
    (more) => (name) => createGoogle({ baseURL: gemini, apiKey: "AIza-client-tests", ...more })(`models/${name}`),
  ],
};
/** What the mock counts for one question: the whole input with what the cache read, the output with what it thought. */
const tokens = { openai: [21, 0], anthropic: [25, 0], gemini: [21, 2] };

const Person = z.object({ name: z.string(), age: z.number() });
const asking = (said) =>
  tool({ description: said, inputSchema: z.object({ city: z.string() }), execute: ({ city }) => `${said} in ${city}` });
const tools = { get_weather: asking("sunny"), get_time: asking("noon") };

/** One test's user, and what is asked as that user. */
function asker(make, provider) {
  const user = randomUUID();
  const named = make({ headers: { "x-aiproxy-user": user } });
  const model = (name) => named(`${provider}/${name}`);
  const asked = (name, more) => ({
    model: model(name),
    maxOutputTokens: 64,
    maxRetries: 0,
    ...(more?.messages ? {} : { prompt: "say something" }),
    ...more,
  });
  return {
    user,
    model,
    ask: (name, more) => generateText(asked(name, more)),
    // Without `onError` it prints what it also hands over.
    stream: (name, more) => streamText(asked(name, { onError: () => {}, ...more })),
  };
}

/** The parts of a row that are named. */
const parts = (row, names) => Object.fromEntries(Object.keys(names).map((name) => [name, row[name]]));
const isRow = (row, expected) => assert.deepEqual(parts(row, expected), expected);

for (const [endpoint, [own, make]] of Object.entries(clients)) {
  describe(endpoint, { concurrency: 8 }, () => {
    for (const provider of ["openai", "anthropic", "gemini"]) {
      const [prompt_tokens, thought] = tokens[provider];
      const whole = { endpoint, provider, outcome: "ok", status_code: 200, response_complete: true, dropped: null };

      test(`text by ${provider}`, async () => {
        const { ask, user } = asker(make, provider);
        const answer = await ask("mock", { instructions: "be brief", temperature: 0.2 });
        assert.match(answer.text, /^the quick brown fox/);
        assert.deepEqual([answer.finishReason, answer.warnings], ["stop", []]);
        const completion_tokens = 10 + thought;
        assert.deepEqual([answer.usage.inputTokens, answer.usage.outputTokens], [prompt_tokens, completion_tokens]);
        const [row] = await rowsOf(user, 1);
        isRow(row, { ...whole, stream: false, response_text: answer.text, prompt_tokens, completion_tokens });
      });

      test(`stream by ${provider}`, async () => {
        const { stream, user } = asker(make, provider);
        const answer = stream("mock-s20-utf8");
        const texts = await collect(answer.textStream);
        const numbers = texts.map((text) => Number(text.slice(1, 7)));
        assert.deepEqual(numbers, [...Array(20).keys()]);
        const completion_tokens = 20 + thought;
        assert.equal((await answer.usage).outputTokens, completion_tokens);
        assert.equal(await answer.finishReason, "stop");
        const [row] = await rowsOf(user, 1);
        isRow(row, { ...whole, stream: true, response_text: texts.join(""), prompt_tokens, completion_tokens });
      });

      for (const streamed of [false, true]) {
        test(`tools and what they say by ${provider}${streamed ? ", streamed" : ""}`, async () => {
          const { ask, model, stream, user } = asker(make, provider);
          const asked = {
            tools,
            stopWhen: isStepCount(2),
            prepareStep: ({ stepNumber }) => (stepNumber === 0 ? {} : { model: model("mock") }),
          };
          const answer = await (streamed ? stream : ask)("mock-tools", asked);
          const [first, second] = await answer.steps;
          const calls = first.toolCalls.map((call) => [call.toolName, call.input]);
          assert.deepEqual(calls, [["get_weather", { city: "Paris" }], ["get_time", { city: "Oslo" }]]);
          assert.deepEqual([first.finishReason, second.finishReason], ["tool-calls", "stop"]);
          assert.deepEqual(first.toolResults.map((result) => result.output), ["sunny in Paris", "noon in Oslo"]);
          assert.ok(second.text);

          // Anthropic's client asks for more where it streams, and nobody else has that.
          const eager = streamed && endpoint === "messages" && provider !== own;
          const dropped = eager ? [0, 1].map((at) => `tools[${at}].eager_input_streaming`) : null;
          const rows = await rowsOf(user, 2);
          isRow(rows[0], { ...whole, stream: streamed, dropped, finish_reason: "tool_calls" });
          isRow(rows[1], { ...whole, stream: streamed, dropped, finish_reason: "stop", response_text: second.text });
          const recorded = rows[0].tool_calls.map((call) => JSON.parse(call.function.arguments));
          assert.deepEqual(recorded, [{ city: "Paris" }, { city: "Oslo" }]);
          // What went to the provider.
          const [{ exchange_bodies }] = await logs("show", rows[1].request_id);
          const sent = exchange_bodies.upstream_request_body ?? exchange_bodies.request_body;
          assert.deepEqual(sent.match(/(sunny|noon) in \w+/g), ["sunny in Paris", "noon in Oslo"]);
        });
      }

      test(`vision by ${provider}`, async () => {
        const { ask, user } = asker(make, provider);
        const image = { type: "file", mediaType: "image/png", data: "iVBORw0KGgo=" };
        const content = [{ type: "text", text: "what is it?" }, image];
        const answer = await ask("mock-vision", { messages: [{ role: "user", content }] });
        // OpenAI's images are URLs, others' are what stands in them.
        assert.equal(answer.text, `images: 1, url bytes: [${provider === "openai" ? 34 : 12}]`);
        const [row] = await rowsOf(user, 1);
        isRow(row, { ...whole, request_text: "what is it?", response_text: answer.text });
      });

      test(`structured output by ${provider}`, async () => {
        const { ask, user } = asker(make, provider);
        const asked = {
          output: Output.object({ schema: Person }),
          // It does not know the mock's models, and would tell others of a schema as of a tool.
          providerOptions: { anthropic: { structuredOutputMode: "outputFormat" } },
        };
        assert.deepEqual((await ask("mock-json", asked)).output, { name: "Ada", age: 36 });
        const [row] = await rowsOf(user, 1);
        isRow(row, whole);
        const [{ exchange_bodies }] = await logs("show", row.request_id);
        const sent = exchange_bodies.upstream_request_body ?? exchange_bodies.request_body;
        assert.match(sent, /"properties":\{"name":\{"type":"string"\},"age":\{"type":"number"\}\}/);
      });

      test(`errors by ${provider}`, async () => {
        const { ask, stream, user } = asker(make, provider);
        const is = (status) => (error) => {
          assert.ok(APICallError.isInstance(error), String(error));
          assert.deepEqual([error.statusCode, error.message], [status, `mock error ${status}`]);
          assert.equal(error.isRetryable, status !== 400);
          return true;
        };
        const statuses = [400, 429, 500];
        for (const status of statuses) await assert.rejects(ask(`mock-err-${status}`), is(status));
        const [, error] = await collect(stream("mock-err-429").stream);
        assert.ok(error.type === "error" && is(429)(error.error));
        const rows = await rowsOf(user, 4);
        for (const [at, status] of [...statuses, 429].entries()) {
          const outcome = status === 429 ? "rate_limited" : "upstream_error";
          isRow(rows[at], { endpoint, provider, outcome, status_code: status, error_message: `mock error ${status}` });
        }
      });

      test(`a stream that breaks by ${provider}`, async () => {
        const { stream, user } = asker(make, provider);
        const seen = await collect(stream("mock-s20-cut-5").stream);
        const texts = seen.filter((part) => part.type === "text-delta");
        const { error } = seen.find((part) => part.type === "error");
        assert.equal(texts.length, 5);
        assert.ok(StreamProviderError.isInstance(error), String(error));
        assert.equal(error.message, "the connection to the provider broke");
        const [row] = await rowsOf(user, 1);
        const outcome = "upstream_truncated";
        isRow(row, { endpoint, provider, outcome, response_complete: false, repairs: ["error_event"] });
      });

      test(`an aborted stream by ${provider}`, async () => {
        const { stream, user } = asker(make, provider);
        const abort = new AbortController();
        const seen = [];
        for await (const { type } of stream("mock-s1000-d20", { abortSignal: abort.signal }).stream) {
          seen.push(type);
          if (type === "text-delta") abort.abort();
        }
        assert.equal(seen.at(-1), "abort");
        assert.ok(!seen.includes("error") && !seen.includes("finish"), String(seen));
        const [row] = await rowsOf(user, 1);
        isRow(row, { endpoint, provider, outcome: "client_disconnected", status_code: 200, response_complete: false });
        assert.match(row.response_text, /^w000000 /);
      });
    }
  });
}
