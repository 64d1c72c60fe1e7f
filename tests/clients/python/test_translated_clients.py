"""OpenAI's Responses and embeddings before other providers, and Gemini's client before OpenAI and Anthropic."""

import openai
import pytest
from conftest import base_url
from google import genai
from google.genai import errors, types

CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
NAMES = ["get_weather", "get_time"]
TOOLS = [{"type": "function", "name": name, "parameters": CITY} for name in NAMES]
ARGUMENTS = ['{"city":"Paris"}', '{"city":"Oslo"}']
IMAGE = "iVBORw0KGgo="
BEFORE = pytest.mark.parametrize("provider", ["anthropic", "gemini", "bedrock"])
OTHERS = pytest.mark.parametrize("provider", ["openai", "anthropic", "bedrock"])


# === OpenAI's Responses ===


@BEFORE
def test_response(client, provider):
    answer = client.responses.create(
        model=f"{provider}/mock", instructions="be brief", input="say something", max_output_tokens=64
    )
    assert (answer.status, answer.object) == ("completed", "response")
    assert answer.output_text.startswith("the quick brown fox")
    assert answer.usage.output_tokens >= 10 and answer.usage.total_tokens > answer.usage.output_tokens


@BEFORE
@pytest.mark.parametrize("model", ["mock-s50", "mock-s50-utf8", "mock-s5-bytes1"])
def test_response_stream(client, provider, model):
    with client.responses.stream(model=f"{provider}/{model}", input="say something") as stream:
        texts = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    numbers = [text.split(" ")[0] for text in texts]
    assert numbers == [f"w{number:06}" for number in range(len(numbers))] and len(numbers) >= 5
    assert final.status == "completed" and final.output_text == "".join(texts)


@BEFORE
@pytest.mark.parametrize("streamed", [False, True])
def test_response_tools_and_their_results(client, provider, streamed):
    asked = {"model": f"{provider}/mock-tools", "input": "what is the weather?", "tools": TOOLS}
    if streamed:
        with client.responses.stream(**asked) as stream:
            stream.until_done()
            answer = stream.get_final_response()
    else:
        answer = client.responses.create(**asked)
    calls = [item for item in answer.output if item.type == "function_call"]
    assert [call.name for call in calls] == NAMES
    assert [call.arguments.replace(" ", "") for call in calls] == ARGUMENTS
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "done"} for call in calls]
    said = [{"role": "user", "content": "what is the weather?"}, *answer.output, *results]
    again = client.responses.create(model=f"{provider}/mock", input=said, tools=TOOLS)
    assert again.status == "completed" and again.output_text


@BEFORE
def test_response_vision(client, provider):
    parts = [
        {"type": "input_text", "text": "what is this?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{IMAGE}"},
    ]
    answer = client.responses.create(model=f"{provider}/mock-vision", input=[{"role": "user", "content": parts}])
    assert answer.output_text == f"images: 1, url bytes: [{len(IMAGE)}]"


@BEFORE
@pytest.mark.parametrize(
    "status, error",
    [(400, openai.BadRequestError), (429, openai.RateLimitError), (500, openai.InternalServerError)],
)
def test_response_errors(client, provider, status, error):
    with pytest.raises(error) as raised:
        client.responses.create(model=f"{provider}/mock-err-{status}", input="hi")
    assert raised.value.status_code == status and raised.value.body["message"]


@BEFORE
def test_response_that_must_be_kept_is_refused(client, provider):
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(model=f"{provider}/mock", input="hi", previous_response_id="resp_1")
    assert "previous_response_id" in raised.value.body["message"]


# === OpenAI's embeddings ===


@pytest.mark.parametrize("more", [{}, {"encoding_format": "float"}])
def test_embeddings(client, more):
    answer = client.embeddings.create(model="gemini/mock", input=["a", "b"], **more)
    assert [item.index for item in answer.data] == [0, 1]
    assert all(isinstance(item.embedding[0], float) for item in answer.data)


# === Gemini's client ===


@pytest.fixture
def gemini():
    return genai.Client(
        api_key="AIza-client-tests",
        vertexai=False,
        http_options=types.HttpOptions(
            base_url=base_url().removesuffix("/v1"), api_version="v1beta", timeout=20_000
        ),
    )


WITH_TOOLS = types.GenerateContentConfig(
    tools=[types.Tool(function_declarations=[{"name": name, "parameters": CITY} for name in NAMES])],
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
)


def written(usage):
    """Gemini counts thoughts beside what is said; OpenAI and Anthropic count them with it."""
    return usage.candidates_token_count + (usage.thoughts_token_count or 0)


@OTHERS
def test_content(gemini, provider):
    config = types.GenerateContentConfig(max_output_tokens=64, system_instruction="be brief")
    answer = gemini.models.generate_content(model=f"{provider}/mock", contents="say something", config=config)
    assert answer.text.startswith("the quick brown fox")
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert written(answer.usage_metadata) == 10


@OTHERS
@pytest.mark.parametrize("model", ["mock-s50", "mock-s50-utf8", "mock-s5-bytes1"])
def test_content_stream(gemini, provider, model):
    chunks = list(gemini.models.generate_content_stream(model=f"{provider}/{model}", contents="say something"))
    numbers = [chunk.text.split(" ")[0] for chunk in chunks if chunk.text]
    assert numbers == [f"w{number:06}" for number in range(len(numbers))] and len(numbers) >= 5
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert written(chunks[-1].usage_metadata) == len(numbers)


@OTHERS
@pytest.mark.parametrize("streamed", [False, True])
def test_content_tools_and_their_results(gemini, provider, streamed):
    asked = {"model": f"{provider}/mock-tools", "contents": "what is the weather?", "config": WITH_TOOLS}
    if streamed:
        answers = list(gemini.models.generate_content_stream(**asked))
    else:
        answers = [gemini.models.generate_content(**asked)]
    parts = [part for answer in answers for part in answer.candidates[0].content.parts or []]
    calls = [part.function_call for part in parts if part.function_call]
    assert [(call.name, call.args) for call in calls] == [
        ("get_weather", {"city": "Paris"}),
        ("get_time", {"city": "Oslo"}),
    ]
    results = [
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"said": "done"}))
        for call in calls
    ]
    said = [
        types.Content(role="user", parts=[types.Part(text="what is the weather?")]),
        types.Content(role="model", parts=[types.Part(function_call=call) for call in calls]),
        types.Content(role="user", parts=results),
    ]
    again = gemini.models.generate_content(model=f"{provider}/mock", contents=said, config=WITH_TOOLS)
    assert again.text


@OTHERS
def test_content_vision(gemini, provider):
    image = types.Part.from_bytes(data=b"\x89PNG", mime_type="image/png")
    answer = gemini.models.generate_content(model=f"{provider}/mock-vision", contents=["what is this?", image])
    # OpenAI's images are URLs, others' are what stands in them.
    size = len("iVBORw==") + (len("data:image/png;base64,") if provider == "openai" else 0)
    assert answer.text == f"images: 1, url bytes: [{size}]"


@OTHERS
@pytest.mark.parametrize("status, error", [(400, errors.ClientError), (429, errors.ClientError), (500, errors.ServerError)])
def test_content_errors(gemini, provider, status, error):
    with pytest.raises(error) as raised:
        gemini.models.generate_content(model=f"{provider}/mock-err-{status}", contents="hi")
    assert raised.value.code == status and raised.value.message
