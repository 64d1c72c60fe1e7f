"""Clients before providers of another dialect: OpenAI's client before Anthropic, and the other way round."""

import anthropic
import openai
import pytest

IMAGE = "iVBORw0KGgo="
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
NAMES = ("get_weather", "get_time")
FUNCTIONS = [{"type": "function", "function": {"name": name, "parameters": CITY}} for name in NAMES]
TOOLS = [{"name": name, "input_schema": CITY} for name in NAMES]


def chat(client, model, messages, **more):
    return client.chat.completions.create(model=f"anthropic/{model}", messages=messages, **more)


def ask(claude, model, messages, **more):
    return claude.messages.create(model=f"openai/{model}", max_tokens=64, messages=messages, **more)


# === OpenAI's client before Anthropic ===


def test_chat(client, messages):
    answer = chat(client, "mock", messages)
    assert answer.id.startswith("chatcmpl-") and answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content.startswith("the quick brown fox")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (25, 10)  # with what the cache read


@pytest.mark.parametrize(
    "model", ["mock-s50", "mock-s50-d2", "mock-s50-utf8", "mock-s5-bytes1", "mock-s50-burst", "mock-s20-crlf"]
)
def test_chat_stream(client, messages, model):
    usage = {"include_usage": True}
    chunks = list(chat(client, model, messages, stream=True, stream_options=usage))
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    numbers = [text.split(" ")[0] for text in texts if text]
    assert numbers == [f"w{number:06}" for number in range(len(numbers))] and len(numbers) >= 5
    assert chunks[-1].usage.completion_tokens == len(numbers)
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"


def test_chat_parallel_tools(client, messages):
    message = chat(client, "mock-tools", messages, tools=FUNCTIONS).choices[0].message
    assert [(call.id, call.function.name) for call in message.tool_calls] == [
        ("toolu_mock_0", "get_weather"),
        ("toolu_mock_1", "get_time"),
    ]
    # And their results back.
    results = [{"role": "tool", "tool_call_id": call.id, "content": "done"} for call in message.tool_calls]
    said = [*messages, message, *results]
    assert chat(client, "mock", said, tools=FUNCTIONS).choices[0].finish_reason == "stop"


def test_chat_parallel_tools_streamed(client, messages):
    model = "anthropic/mock-tools"
    with client.chat.completions.stream(model=model, messages=messages, tools=FUNCTIONS) as stream:
        stream.until_done()
        calls = stream.get_final_completion().choices[0].message.tool_calls
    arguments = [call.function.arguments.replace(" ", "") for call in calls]
    assert arguments == ['{"city":"Paris"}', '{"city":"Oslo"}']


def test_chat_vision(client):
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}}
    said = [{"role": "user", "content": [{"type": "text", "text": "what?"}, image]}]
    assert chat(client, "mock-vision", said).choices[0].message.content.startswith("images: 1")


@pytest.mark.parametrize(
    "status, error",
    [
        (400, openai.BadRequestError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (529, openai.InternalServerError),
    ],
)
def test_chat_errors(client, messages, status, error):
    with pytest.raises(error) as raised:
        chat(client, f"mock-err-{status}", messages)
    assert raised.value.status_code == status and raised.value.body["message"]


def test_chat_retries(client, messages):
    patient = client.with_options(max_retries=3)
    assert chat(patient, "mock-err-500-times-2", messages).choices[0].finish_reason == "stop"


@pytest.mark.parametrize("model", ["mock-s20-cut-5", "mock-s20-errevent"])
def test_a_chat_stream_that_breaks_is_an_error(client, messages, model):
    with pytest.raises(openai.APIError):
        list(chat(client, model, messages, stream=True))


def test_what_anthropic_cannot_do_is_named(client, messages):
    with pytest.raises(openai.BadRequestError) as raised:
        chat(client, "mock", messages, n=2)
    assert "'n'" in raised.value.body["message"]


def test_leaving_a_chat_early(client, messages):
    with chat(client, "mock-s500-d5", messages, stream=True) as stream:
        assert next(iter(stream)).choices[0].delta.role == "assistant"


# === Anthropic's client before OpenAI ===


def test_message(claude, messages):
    answer = ask(claude, "mock", messages, system="be brief", stop_sequences=["x"])
    assert answer.id.startswith("msg_") and answer.stop_reason == "end_turn"
    assert answer.content[0].text.startswith("the quick brown fox")
    assert answer.usage.input_tokens + answer.usage.cache_read_input_tokens == 21
    assert answer.usage.output_tokens == 10


@pytest.mark.parametrize(
    "model", ["mock-s50", "mock-s50-d2", "mock-s50-utf8", "mock-s5-bytes1", "mock-s50-burst", "mock-s20-crlf"]
)
def test_message_stream(claude, messages, model):
    model = f"openai/{model}"
    with claude.messages.stream(model=model, max_tokens=64, messages=messages) as stream:
        texts = list(stream.text_stream)
        final = stream.get_final_message()
    numbers = [text.split(" ")[0] for text in texts]
    assert numbers == [f"w{number:06}" for number in range(len(numbers))] and len(numbers) >= 5
    assert final.stop_reason == "end_turn" and final.content[0].text == "".join(texts)
    assert final.usage.output_tokens == len(numbers)


def test_message_parallel_tools(claude, messages):
    answer = ask(claude, "mock-tools", messages, tools=TOOLS)
    assert answer.stop_reason == "tool_use"
    calls = [(call.name, call.input) for call in answer.content]
    assert calls == [("get_weather", {"city": "Paris"}), ("get_time", {"city": "Oslo"})]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "done"} for call in answer.content]
    said = [*messages, {"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
    assert ask(claude, "mock", said, tools=TOOLS).stop_reason == "end_turn"


def test_message_parallel_tools_streamed(claude, messages):
    model = "openai/mock-tools"
    with claude.messages.stream(model=model, max_tokens=64, messages=messages, tools=TOOLS) as stream:
        final = stream.get_final_message()
    assert [call.input for call in final.content] == [{"city": "Paris"}, {"city": "Oslo"}]


def test_message_vision(claude):
    source = {"type": "base64", "media_type": "image/png", "data": IMAGE}
    parts = [{"type": "text", "text": "what?"}, {"type": "image", "source": source}]
    answer = ask(claude, "mock-vision", [{"role": "user", "content": parts}])
    assert answer.content[0].text.startswith("images: 1")


@pytest.mark.parametrize(
    "status, error",
    [
        (400, anthropic.BadRequestError),
        (404, anthropic.NotFoundError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
    ],
)
def test_message_errors(claude, messages, status, error):
    with pytest.raises(error) as raised:
        ask(claude, f"mock-err-{status}", messages)
    assert raised.value.body["type"] == "error" and raised.value.body["error"]["message"]


@pytest.mark.parametrize("model", ["mock-s20-cut-5", "mock-s20-errevent"])
def test_a_message_stream_that_breaks_is_an_error(claude, messages, model):
    with pytest.raises(anthropic.APIError):
        list(ask(claude, model, messages, stream=True))


def test_a_missing_end_is_no_error(claude, messages):
    model = "openai/mock-s4-nodone"
    with claude.messages.stream(model=model, max_tokens=64, messages=messages) as stream:
        assert stream.get_final_message().stop_reason == "end_turn"


def test_leaving_a_message_early(claude, messages):
    with ask(claude, "mock-s500-d5", messages, stream=True) as stream:
        assert next(iter(stream)).type == "message_start"


# === both before Gemini ===


def test_gemini_chat(client, messages):
    answer = client.chat.completions.create(model="gemini/mock", messages=messages)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content.startswith("the quick brown fox")
    assert answer.usage.completion_tokens == 12  # with what it thought


@pytest.mark.parametrize("model", ["mock-s50", "mock-s50-utf8", "mock-s5-bytes1", "mock-s50-burst"])
def test_gemini_chat_stream(client, messages, model):
    model = f"gemini/{model}"
    chunks = list(client.chat.completions.create(model=model, messages=messages, stream=True))
    numbers = [chunk.choices[0].delta.content.split(" ")[0] for chunk in chunks if chunk.choices[0].delta.content]
    assert numbers == [f"w{number:06}" for number in range(len(numbers))] and len(numbers) >= 5
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_gemini_chat_tools(client, messages):
    model = "gemini/mock-tools"
    answer = client.chat.completions.create(model=model, messages=messages, tools=FUNCTIONS)
    message = answer.choices[0].message
    calls = [(call.function.name, call.function.arguments.replace(" ", "")) for call in message.tool_calls]
    assert calls == [("get_weather", '{"city":"Paris"}'), ("get_time", '{"city":"Oslo"}')]
    results = [{"role": "tool", "tool_call_id": call.id, "content": "done"} for call in message.tool_calls]
    said = [*messages, message, *results]
    answer = client.chat.completions.create(model="gemini/mock", messages=said, tools=FUNCTIONS)
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("status, error", [(400, openai.BadRequestError), (429, openai.RateLimitError), (503, openai.InternalServerError)])
def test_gemini_chat_errors(client, messages, status, error):
    with pytest.raises(error) as raised:
        client.chat.completions.create(model=f"gemini/mock-err-{status}", messages=messages)
    assert raised.value.status_code == status and raised.value.body["message"]


def test_gemini_message(claude, messages):
    answer = claude.messages.create(model="gemini/mock", max_tokens=64, messages=messages)
    assert answer.stop_reason == "end_turn" and answer.content[0].text.startswith("the quick brown fox")


def test_gemini_message_tools_streamed(claude, messages):
    model = "gemini/mock-tools"
    with claude.messages.stream(model=model, max_tokens=64, messages=messages, tools=TOOLS) as stream:
        final = stream.get_final_message()
    assert final.stop_reason == "tool_use"
    assert [call.input for call in final.content] == [{"city": "Paris"}, {"city": "Oslo"}]
