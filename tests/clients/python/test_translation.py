"""OpenAI's chats and Anthropic's messages before providers of another dialect, and before Azure, which has OpenAI's in its own way."""

import anthropic
import openai
import pytest

IMAGE = "iVBORw0KGgo="
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
NAMES = ("get_weather", "get_time")
FUNCTIONS = [{"type": "function", "function": {"name": name, "parameters": CITY}} for name in NAMES]
TOOLS = [{"name": name, "input_schema": CITY} for name in NAMES]
CHATS = pytest.mark.parametrize("provider", ["anthropic", "gemini", "bedrock", "azure"])
MESSAGES = pytest.mark.parametrize("provider", ["openai", "gemini", "bedrock", "azure"])
# What the mock counts for one question: the whole input with what the cache read, and what it thought, a part of the output.
TOKENS = {"openai": (21, 0), "azure": (21, 0), "anthropic": (25, 0), "bedrock": (25, 0), "gemini": (21, 2)}
STREAMS = pytest.mark.parametrize(
    "model", ["mock-s50", "mock-s50-d2", "mock-s50-utf8", "mock-s5-bytes1", "mock-s50-burst"]
)
BROKEN = pytest.mark.parametrize("model", ["mock-s20-cut-5", "mock-s20-errevent"])


def ask(claude, model, messages, **more):
    return claude.messages.create(model=model, max_tokens=64, messages=messages, **more)


def chat(client, model, messages, **more):
    return client.chat.completions.create(model=model, messages=messages, **more)


# === OpenAI's client ===


@CHATS
def test_chat(client, messages, provider):
    answer = chat(client, f"{provider}/mock", messages)
    assert answer.id.startswith("chatcmpl-") and answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content.startswith("the quick brown fox")
    prompt, thought = TOKENS[provider]
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (prompt, 10 + thought)


@CHATS
@STREAMS
def test_chat_stream(client, messages, provider, model):
    usage = {"include_usage": True}
    chunks = list(chat(client, f"{provider}/{model}", messages, stream=True, stream_options=usage))
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    texts = [choice.delta.content for choice in choices if choice.delta.content]
    numbers = [text.split(" ")[0] for text in texts]
    assert numbers == [f"w{number:06}" for number in range(len(numbers))] and len(numbers) >= 5
    assert chunks[-1].usage.completion_tokens == len(numbers) + TOKENS[provider][1]
    assert choices[-1].finish_reason == "stop"


@CHATS
def test_chat_parallel_tools(client, messages, provider):
    message = chat(client, f"{provider}/mock-tools", messages, tools=FUNCTIONS).choices[0].message
    assert [call.function.name for call in message.tool_calls] == [*NAMES]
    # Gemini has no ids: ours are made up.
    own = provider == "gemini" or message.tool_calls[1].id.endswith("_mock_1")
    assert own and len({call.id for call in message.tool_calls}) == 2
    # And their results back.
    results = [{"role": "tool", "tool_call_id": call.id, "content": "done"} for call in message.tool_calls]
    said = [*messages, message, *results]
    assert chat(client, f"{provider}/mock", said, tools=FUNCTIONS).choices[0].finish_reason == "stop"


@CHATS
def test_chat_parallel_tools_streamed(client, messages, provider):
    model = f"{provider}/mock-tools"
    with client.chat.completions.stream(model=model, messages=messages, tools=FUNCTIONS) as stream:
        stream.until_done()
        calls = stream.get_final_completion().choices[0].message.tool_calls
    arguments = [call.function.arguments.replace(" ", "") for call in calls]
    assert arguments == ['{"city":"Paris"}', '{"city":"Oslo"}']


@CHATS
def test_chat_vision(client, provider):
    url = f"data:image/png;base64,{IMAGE}"
    parts = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": url}}]
    answer = chat(client, f"{provider}/mock-vision", [{"role": "user", "content": parts}])
    # OpenAI's images are URLs, others' are what stands in them.
    size = len(url if provider == "azure" else IMAGE)
    assert answer.choices[0].message.content == f"images: 1, url bytes: [{size}]"


@CHATS
@pytest.mark.parametrize(
    "status, error",
    [
        (400, openai.BadRequestError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
        (529, openai.InternalServerError),
    ],
)
def test_chat_errors(client, messages, provider, status, error):
    with pytest.raises(error) as raised:
        chat(client, f"{provider}/mock-err-{status}", messages)
    assert raised.value.status_code == status and raised.value.body["message"] == f"mock error {status}"


def test_chat_retries(client, messages):
    patient = client.with_options(max_retries=3)
    model = "anthropic/mock-err-500-times-2"
    assert chat(patient, model, messages).choices[0].finish_reason == "stop"


@CHATS
@BROKEN
def test_a_chat_stream_that_breaks_is_an_error(client, messages, provider, model):
    with pytest.raises(openai.APIError):
        list(chat(client, f"{provider}/{model}", messages, stream=True))


def test_what_anthropic_cannot_do_is_named(client, messages):
    with pytest.raises(openai.BadRequestError) as raised:
        chat(client, "anthropic/mock", messages, n=2)
    assert "'n'" in raised.value.body["message"]


# === Anthropic's client ===


@MESSAGES
def test_message(claude, messages, provider):
    answer = ask(claude, f"{provider}/mock", messages, system="be brief", stop_sequences=["x"])
    assert answer.id.startswith("msg_") and answer.stop_reason == "end_turn"
    assert answer.content[0].text.startswith("the quick brown fox")
    prompt, thought = TOKENS[provider]
    assert answer.usage.input_tokens + answer.usage.cache_read_input_tokens == prompt
    assert answer.usage.output_tokens == 10 + thought


@MESSAGES
@STREAMS
def test_message_stream(claude, messages, provider, model):
    model = f"{provider}/{model}"
    with claude.messages.stream(model=model, max_tokens=64, messages=messages) as stream:
        texts = list(stream.text_stream)
        final = stream.get_final_message()
    numbers = [text.split(" ")[0] for text in texts]
    assert numbers == [f"w{number:06}" for number in range(len(numbers))] and len(numbers) >= 5
    assert final.stop_reason == "end_turn" and final.content[0].text == "".join(texts)
    assert final.usage.output_tokens == len(numbers) + TOKENS[provider][1]


@MESSAGES
@pytest.mark.parametrize("streamed", [False, True])
def test_message_parallel_tools(claude, messages, provider, streamed):
    asked = {"model": f"{provider}/mock-tools", "max_tokens": 64, "messages": messages, "tools": TOOLS}
    if streamed:
        with claude.messages.stream(**asked) as stream:
            answer = stream.get_final_message()
    else:
        answer = claude.messages.create(**asked)
    assert answer.stop_reason == "tool_use"
    calls = [(call.name, call.input) for call in answer.content]
    assert calls == [("get_weather", {"city": "Paris"}), ("get_time", {"city": "Oslo"})]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "done"} for call in answer.content]
    said = [*messages, {"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
    assert ask(claude, f"{provider}/mock", said, tools=TOOLS).stop_reason == "end_turn"


@MESSAGES
def test_message_vision(claude, provider):
    source = {"type": "base64", "media_type": "image/png", "data": IMAGE}
    parts = [{"type": "text", "text": "what?"}, {"type": "image", "source": source}]
    answer = ask(claude, f"{provider}/mock-vision", [{"role": "user", "content": parts}])
    size = len(f"data:image/png;base64,{IMAGE}" if provider in ["openai", "azure"] else IMAGE)
    assert answer.content[0].text == f"images: 1, url bytes: [{size}]"


@MESSAGES
@pytest.mark.parametrize(
    "status, error",
    [
        (400, anthropic.BadRequestError),
        (404, anthropic.NotFoundError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
    ],
)
def test_message_errors(claude, messages, provider, status, error):
    with pytest.raises(error) as raised:
        ask(claude, f"{provider}/mock-err-{status}", messages)
    body = raised.value.body
    assert (body["type"], body["error"]["message"]) == ("error", f"mock error {status}")


@MESSAGES
@BROKEN
def test_a_message_stream_that_breaks_is_an_error(claude, messages, provider, model):
    with pytest.raises(anthropic.APIError):
        list(ask(claude, f"{provider}/{model}", messages, stream=True))


def test_a_missing_end_is_no_error(claude, messages):
    model = "openai/mock-s4-nodone"
    with claude.messages.stream(model=model, max_tokens=64, messages=messages) as stream:
        assert stream.get_final_message().stop_reason == "end_turn"
