"""Anthropic's client, unchanged but for its base URL. Passes against the mock and through the proxy alike."""

import anthropic
import httpx
import pytest

TOOLS = [
    {"name": name, "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
    for name in ("get_weather", "get_time")
]
CALLS = [
    ("toolu_mock_0", "get_weather", {"city": "Paris"}),
    ("toolu_mock_1", "get_time", {"city": "Oslo"}),
]


def ask(client, model, messages, **more):
    return client.messages.create(model=model, max_tokens=64, messages=messages, **more)


# === messages ===


def test_message(claude, messages):
    answer = ask(claude, "mock", messages, system="be brief")
    assert answer.stop_reason == "end_turn" and answer.role == "assistant"
    assert answer.content[0].text.startswith("the quick brown fox")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (21, 10)
    assert answer._request_id.startswith("req_mock_")


@pytest.mark.parametrize(
    "model", ["mock-s50", "mock-s50-d2", "mock-s50-utf8", "mock-s5-bytes1", "mock-s50-burst", "mock-s20-crlf"]
)
def test_stream(claude, messages, model):
    with claude.messages.stream(model=model, max_tokens=64, messages=messages) as stream:
        texts = list(stream.text_stream)
        final = stream.get_final_message()
    numbers = [text.split(" ")[0] for text in texts]
    assert numbers == [f"w{number:06}" for number in range(len(numbers))] and len(numbers) >= 5
    assert final.stop_reason == "end_turn" and final.content[0].text == "".join(texts)
    assert final.usage.input_tokens == 21 and final.usage.output_tokens == len(numbers)


def test_raw_events(claude, messages):
    events = [event.type for event in ask(claude, "mock-s3", messages, stream=True)]
    assert events[0] == "message_start" and events[-2:] == ["message_delta", "message_stop"]
    assert events.count("content_block_delta") == 3


def test_parallel_tools(claude, messages):
    answer = ask(claude, "mock-tools", messages, tools=TOOLS)
    assert answer.stop_reason == "tool_use"
    assert [(call.id, call.name, call.input) for call in answer.content] == CALLS


def test_parallel_tools_streamed(claude, messages):
    with claude.messages.stream(model="mock-tools", max_tokens=64, messages=messages, tools=TOOLS) as stream:
        final = stream.get_final_message()
    assert [(call.id, call.name, call.input) for call in final.content] == CALLS


def test_vision(claude):
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    parts = [{"type": "text", "text": "what?"}, {"type": "image", "source": source}]
    answer = ask(claude, "mock-vision", [{"role": "user", "content": parts}])
    assert answer.content[0].text.startswith("images: 1")


def test_count_tokens(claude, messages):
    assert claude.messages.count_tokens(model="mock", messages=messages).input_tokens == 21


# === errors ===


@pytest.mark.parametrize(
    "status, error",
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.APIStatusError),  # through the proxy the key is its own: 502
        (404, anthropic.NotFoundError),
        (413, anthropic.APIStatusError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.APIStatusError),
    ],
)
def test_errors(claude, messages, status, error):
    with pytest.raises(error) as raised:
        ask(claude, f"mock-err-{status}", messages)
    assert raised.value.body["type"] == "error" and raised.value.body["error"]["message"]


def test_an_error_page(claude, messages):
    with pytest.raises(anthropic.APIError):
        ask(claude, "mock-err-503-html", messages)


def test_retries(claude, messages):
    patient = claude.with_options(max_retries=3)
    assert ask(patient, "mock-err-500-times-2", messages).stop_reason == "end_turn"


@pytest.mark.parametrize("model", ["mock-s20-cut-5", "mock-s20-errevent"])
def test_a_stream_that_breaks_is_an_error(claude, messages, model):
    # A reset that reaches the client is an error of its HTTP library; through the proxy it is an error event.
    with pytest.raises((anthropic.APIError, httpx.HTTPError)):
        list(ask(claude, model, messages, stream=True))


def test_a_missing_end_is_no_error(claude, messages):
    with claude.messages.stream(model="mock-s4-nodone", max_tokens=64, messages=messages) as stream:
        assert stream.get_final_message().stop_reason == "end_turn"


def test_leaving_early(claude, messages):
    with ask(claude, "mock-s500-d5", messages, stream=True) as stream:
        assert next(iter(stream)).type == "message_start"
