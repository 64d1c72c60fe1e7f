"""Gemini's client, unchanged but for its base URL. Passes against the mock and through the proxy alike."""

import uuid

import pytest
from conftest import base_url
from google import genai
from google.genai import errors, types

TOOLS = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name=name,
            parameters=types.Schema(
                type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)}
            ),
        )
        for name in ("get_weather", "get_time")
    ]
)
CALLS = [("get_weather", {"city": "Paris"}), ("get_time", {"city": "Oslo"})]
WITH_TOOLS = types.GenerateContentConfig(
    tools=[TOOLS],
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
)


@pytest.fixture(params=["v1beta", "v1"])
def gemini(request):
    return genai.Client(
        api_key="AIza-client-tests",
        vertexai=False,
        http_options=types.HttpOptions(
            base_url=base_url().removesuffix("/v1"),
            api_version=request.param,
            timeout=20_000,
            headers={"x-test-id": str(uuid.uuid4())},
        ),
    )


def ask(client, model, contents="say something", **more):
    return client.models.generate_content(model=model, contents=contents, **more)


def stream(client, model, **more):
    return client.models.generate_content_stream(model=model, contents="say something", **more)


def calls(chunks):
    return [(call.name, call.args) for chunk in chunks for call in chunk.function_calls or []]


# === content ===


def test_content(gemini):
    config = types.GenerateContentConfig(max_output_tokens=64)
    answer = ask(gemini, "mock", config=config)
    assert answer.text.startswith("the quick brown fox") and answer.model_version == "mock"
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    usage = answer.usage_metadata
    assert (usage.prompt_token_count, usage.candidates_token_count, usage.total_token_count) == (21, 10, 33)


@pytest.mark.parametrize(
    "model", ["mock-s50", "mock-s50-d2", "mock-s50-utf8", "mock-s5-bytes1", "mock-s50-burst"]
)
def test_stream(gemini, model):
    chunks = list(stream(gemini, model))
    numbers = [chunk.text.split(" ")[0] for chunk in chunks if chunk.text]
    assert numbers == [f"w{number:06}" for number in range(len(numbers))] and len(numbers) >= 5
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert chunks[-1].usage_metadata.candidates_token_count == len(numbers)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_async_stream(gemini, anyio_backend):
    chunks = await gemini.aio.models.generate_content_stream(model="mock-s5", contents="hi")
    assert len([chunk.text async for chunk in chunks if chunk.text]) == 5


def test_chat(gemini):
    chat = gemini.chats.create(model="mock")
    chat.send_message("one")
    assert chat.send_message("two").text and len(chat.get_history()) == 4


def test_parallel_tools(gemini):
    assert calls([ask(gemini, "mock-tools", config=WITH_TOOLS)]) == CALLS


def test_parallel_tools_streamed(gemini):
    assert calls(stream(gemini, "mock-tools", config=WITH_TOOLS)) == CALLS


def test_vision(gemini):
    picture = types.Part.from_bytes(data=b"\x89PNG\r\n\x1a\n", mime_type="image/png")
    answer = ask(gemini, "mock-vision", ["what?", picture])
    assert answer.text.startswith("images: 1")


# === the rest ===


def test_count_tokens(gemini):
    assert gemini.models.count_tokens(model="mock", contents="hi").total_tokens == 21


def test_embeddings(gemini):
    answer = gemini.models.embed_content(model="mock", contents=["a", "b"])
    assert [one.values for one in answer.embeddings] == [[0.25, -0.5, 0.125]] * 2


def test_models(gemini):
    assert "models/mock" in [model.name for model in gemini.models.list()]
    assert gemini.models.get(model="mock").name == "models/mock"


# === errors ===


@pytest.mark.parametrize(
    "status, error",
    [
        (400, errors.ClientError),
        (401, errors.APIError),  # through the proxy the key is the client's own, and its error too
        (404, errors.ClientError),
        (429, errors.ClientError),
        (500, errors.ServerError),
        (503, errors.ServerError),
    ],
)
def test_errors(gemini, status, error):
    for call in (ask, lambda *asked: list(stream(*asked))):
        with pytest.raises(error) as raised:
            call(gemini, f"mock-err-{status}")
        assert raised.value.code == status and raised.value.message and raised.value.status


def test_an_error_page(gemini):
    with pytest.raises(errors.APIError) as raised:
        ask(gemini, "mock-err-503-html")
    assert raised.value.code == 503


def test_unknown_models(gemini):
    with pytest.raises(errors.ClientError) as raised:
        ask(gemini, "mock-nonsense")
    assert (raised.value.code, raised.value.status) == (404, "NOT_FOUND")


@pytest.mark.parametrize("model", ["mock-s20-cut-5", "mock-s20-errevent"])
def test_a_stream_that_breaks_is_an_error(gemini, model):
    # A reset that reaches the client is an error of its HTTP library; through the proxy it is an error event.
    with pytest.raises(Exception) as raised:
        list(stream(gemini, model))
    assert "mock error" in str(raised.value) or "s20-cut" in model


def test_leaving_early(gemini):
    chunks = stream(gemini, "mock-s500-d5")
    assert next(iter(chunks)).text
    chunks.close()
