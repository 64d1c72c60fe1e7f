"""Clients before providers that have none of their own: a node of OCF, Ask Sage, and Argo."""

import os

import anthropic
import openai
import pytest

CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
NAMES = ("get_weather", "get_time")
FUNCTIONS = [{"type": "function", "function": {"name": name, "parameters": CITY}} for name in NAMES]
TOOLS = [{"name": name, "input_schema": CITY} for name in NAMES]
EACH = pytest.mark.parametrize("provider", ["node", "sage", "argo"])


@pytest.fixture
def client():
    url = os.environ["AIPROXY_OTHERS_URL"]
    with openai.OpenAI(base_url=url, api_key="sk-client-tests", max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture
def claude():
    url = os.environ["AIPROXY_OTHERS_URL"].removesuffix("/v1")
    with anthropic.Anthropic(base_url=url, api_key="sk-ant-client-tests", max_retries=0, timeout=20) as client:
        yield client


def chat(client, model, messages, **more):
    return client.chat.completions.create(model=model, messages=messages, **more)


def called(provider):
    """What the mock calls: the tools that it is offered. It reads none in words, as Argo is told of them."""
    return ["get_weather", "get_weather"] if provider == "argo" else list(NAMES)


@EACH
def test_chat(client, messages, provider):
    answer = chat(client, f"{provider}/mock", messages, temperature=0.2)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content.startswith("the quick brown fox")
    if provider == "argo":
        # It counts nothing, and nothing is made up.
        assert answer.usage is None
    else:
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (21, 10)


@EACH
@pytest.mark.parametrize("model", ["mock", "mock-b4k", "mock-utf8", "mock-json"])
def test_chat_stream(client, messages, provider, model):
    model = f"{provider}/{model}"
    usage = {"include_usage": True}
    chunks = list(chat(client, model, messages, stream=True, stream_options=usage))
    assert len({chunk.id for chunk in chunks}) == 1
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    reasons = [choice.finish_reason for choice in choices if choice.finish_reason]
    assert reasons == ["stop"] and choices[-1].finish_reason == "stop"
    if provider != "argo":
        assert chunks[-1].usage.completion_tokens == 10
    text = "".join(choice.delta.content or "" for choice in choices)
    if provider == "sage":
        assert text == chat(client, model, messages).choices[0].message.content
    assert text


@EACH
def test_tools_and_their_results(client, messages, provider):
    message = chat(client, f"{provider}/mock-tools", messages, tools=FUNCTIONS).choices[0].message
    assert [call.function.name for call in message.tool_calls] == called(provider)
    results = [{"role": "tool", "tool_call_id": call.id, "content": "done"} for call in message.tool_calls]
    answer = chat(client, f"{provider}/mock", [*messages, message, *results], tools=FUNCTIONS)
    assert answer.choices[0].finish_reason == "stop"


@EACH
def test_tools_streamed(client, messages, provider):
    model = f"{provider}/mock-tools"
    with client.chat.completions.stream(model=model, messages=messages, tools=FUNCTIONS) as stream:
        stream.until_done()
        choice = stream.get_final_completion().choices[0]
    calls = [(call.function.name, call.function.arguments.replace(" ", "")) for call in choice.message.tool_calls]
    assert calls == list(zip(called(provider), ('{"city":"Paris"}', '{"city":"Oslo"}'), strict=True))
    assert choice.finish_reason == "tool_calls"


@EACH
@pytest.mark.parametrize(
    "status, error",
    [(400, openai.BadRequestError), (429, openai.RateLimitError), (500, openai.InternalServerError)],
)
def test_errors(client, messages, provider, status, error):
    with pytest.raises(error) as raised:
        chat(client, f"{provider}/mock-err-{status}", messages)
    assert raised.value.status_code == status and raised.value.body["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "model, error, code",
    [
        ("sage/mock-gone", openai.NotFoundError, "model_not_found"),
        ("sage/mock-overloaded", openai.InternalServerError, "upstream_overloaded"),
        ("sage/mock-denied", openai.InternalServerError, "upstream_auth"),
        ("sage/mock-sorry", openai.InternalServerError, "upstream_error"),
        ("argo/mock-denied", openai.PermissionDeniedError, "upstream_auth"),
        ("node/mock-nodeerror", openai.InternalServerError, "upstream_unreachable"),
    ],
)
def test_failures_under_a_good_status(client, messages, model, error, code, stream):
    with pytest.raises(error) as raised:
        chat(client, model, messages, stream=stream)
    assert raised.value.code == code


def test_a_nodes_own_error(client, messages):
    with pytest.raises(openai.InternalServerError) as raised:
        chat(client, "node/mock-noprovider", messages)
    # As it came: without the proxy in between it would be no other.
    assert raised.value.response.json() == {"error": "No provider found for the requested service."}


def test_models(client):
    names = [model.id for model in client.models.list()]
    assert "argo:gpt-4o" in names and "acme/mock" in names and "mock-tools" in names and "google-veo-3" not in names
    assert len(names) == len(set(names))
    assert client.models.retrieve("node/acme/mock").id == "acme/mock"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("sage/google-veo-3")


def test_images_are_refused_by_ask_sage(client):
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    with pytest.raises(openai.BadRequestError) as raised:
        chat(client, "sage/mock", [{"role": "user", "content": [image]}])
    assert "messages[0].content" in raised.value.body["message"]


# === Anthropic's client ===


@EACH
def test_message(claude, messages, provider):
    answer = claude.messages.create(model=f"{provider}/mock", max_tokens=64, system="be brief", messages=messages)
    assert answer.stop_reason == "end_turn"
    assert answer.content[0].text.startswith("the quick brown fox")
    assert provider == "argo" or answer.usage.output_tokens == 10


@EACH
def test_message_stream(claude, messages, provider):
    model = f"{provider}/mock-b4k"
    with claude.messages.stream(model=model, max_tokens=64, messages=messages) as stream:
        texts = list(stream.text_stream)
        final = stream.get_final_message()
    assert 1 < len(texts) and final.content[0].text == "".join(texts)
    assert final.stop_reason == "end_turn"
    assert provider == "argo" or final.usage.output_tokens == 10


@EACH
def test_message_tools_streamed(claude, messages, provider):
    model = f"{provider}/mock-tools"
    with claude.messages.stream(model=model, max_tokens=64, messages=messages, tools=TOOLS) as stream:
        final = stream.get_final_message()
    assert final.stop_reason == "tool_use"
    assert [call.input for call in final.content] == [{"city": "Paris"}, {"city": "Oslo"}]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "done"} for call in final.content]
    said = [*messages, {"role": "assistant", "content": final.content}, {"role": "user", "content": results}]
    answer = claude.messages.create(model=f"{provider}/mock", max_tokens=64, messages=said, tools=TOOLS)
    assert answer.stop_reason == "end_turn"


@pytest.mark.parametrize(
    "model, error",
    [
        ("sage/mock-gone", anthropic.NotFoundError),
        ("sage/mock-overloaded", anthropic.InternalServerError),
        ("sage/mock-err-400", anthropic.BadRequestError),
        ("argo/mock-denied", anthropic.PermissionDeniedError),
        ("node/mock-nodeerror", anthropic.InternalServerError),
        ("node/mock-noprovider", anthropic.InternalServerError),
    ],
)
def test_message_errors(claude, messages, model, error):
    with pytest.raises(error) as raised:
        claude.messages.create(model=model, max_tokens=64, messages=messages)
    assert raised.value.body["type"] == "error" and raised.value.body["error"]["message"]


# === embeddings ===


def test_embeddings_of_argo(client):
    answer = client.embeddings.create(model="argo/argo:text-embedding-3-small", input=["a", "b"])
    assert [item.index for item in answer.data] == [0, 1]
    assert answer.data[1].embedding == [1.0, 0.5, -0.25]
