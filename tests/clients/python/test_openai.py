"""The OpenAI client, unchanged but for its base URL. Passes against the mock and through the proxy alike."""

import asyncio
import hashlib
import time

import httpx
import httpx2
import openai
import pytest
from conftest import base_url
from httpx_sse import EventSource
from pydantic import BaseModel

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
                "additionalProperties": False,
            },
            "strict": True,
        },
    }
    for name in ("get_weather", "get_time")
]
CALLS = [("call_mock_0", "get_weather", '{"city":"Paris"}'), ("call_mock_1", "get_time", '{"city":"Oslo"}')]


class Person(BaseModel):
    name: str
    age: int


# === chat ===


def test_chat(client, messages):
    answer = client.chat.completions.create(model="mock", messages=messages)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content.startswith("the quick brown fox")
    assert answer.usage.total_tokens == 31
    assert answer.usage.prompt_tokens_details.cached_tokens == 4
    assert answer._request_id.startswith("req_mock_")


def test_base_url_without_version(client, messages):
    bare = client.with_options(base_url=base_url().removesuffix("/v1"))
    assert bare.chat.completions.create(model="mock", messages=messages).choices


@pytest.mark.parametrize(
    "model", ["mock-s50", "mock-s50-d2", "mock-s50-utf8", "mock-s5-bytes1", "mock-s50-burst", "mock-s20-crlf"]
)
def test_stream(client, messages, model):
    stream = client.chat.completions.create(model=model, messages=messages, stream=True)
    chunks = list(stream)
    deltas = [chunk.choices[0].delta.content for chunk in chunks]
    numbers = [delta.split(" ")[0] for delta in deltas if delta]
    assert numbers == [f"w{number:06}" for number in range(len(numbers))] and len(numbers) >= 5
    assert deltas[0] == "" and chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


def test_stream_with_usage(client, messages):
    stream = client.chat.completions.create(
        model="mock-s7", messages=messages, stream=True, stream_options={"include_usage": True}
    )
    *content, last = list(stream)
    assert all(chunk.choices and chunk.usage is None for chunk in content)
    assert last.choices == [] and last.usage.completion_tokens == 7


def test_stream_read_by_another_parser(client, messages):
    body = {"model": "mock-s3-utf8", "messages": messages, "stream": True}
    with httpx.Client() as http:
        with http.stream("POST", base_url() + "/chat/completions", json=body) as response:
            events = [event.data for event in EventSource(response).iter_sse()]
    assert len(events) == 6 and events[-1] == "[DONE]" and "日" in events[2]


def test_stream_arrives_as_it_is_made(client, messages):
    begun = time.monotonic()
    stream = client.chat.completions.create(model="mock-s4-d200", messages=messages, stream=True)
    arrived = [time.monotonic() - begun for chunk in stream if chunk.choices[0].delta.content]
    assert arrived[0] < 0.6 and arrived[-1] - arrived[0] > 0.4


def test_async(async_client, messages):
    async def many():
        create = async_client.chat.completions.create
        whole = [create(model="mock", messages=messages) for _ in range(20)]
        stream = await create(model="mock-s5", messages=messages, stream=True)
        return await asyncio.gather(*whole), [chunk async for chunk in stream]

    answers, chunks = asyncio.run(many())
    assert len({answer.id for answer in answers}) == 20 and len(chunks) == 7


def test_large_answer(client, messages):
    answer = client.chat.completions.create(model="mock-b2m", messages=messages)
    assert len(answer.choices[0].message.content) > 2_000_000


def test_large_question(client):
    messages = [{"role": "user", "content": "ä" * 1_000_000}]
    assert client.chat.completions.create(model="mock", messages=messages).choices


# === tools, structured output, images ===


def calls_of(message):
    return [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls]


def test_parallel_tools(client, messages):
    answer = client.chat.completions.create(model="mock-tools", messages=messages, tools=TOOLS)
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.content is None
    assert calls_of(answer.choices[0].message) == CALLS


def test_parallel_tools_streamed(client, messages):
    with client.chat.completions.stream(model="mock-tools", messages=messages, tools=TOOLS) as stream:
        pieces = [e.arguments_delta for e in stream if e.type == "tool_calls.function.arguments.delta"]
        message = stream.get_final_completion().choices[0].message
    assert calls_of(message) == CALLS and len(pieces) >= 8
    assert message.tool_calls[1].function.parsed_arguments == {"city": "Oslo"}


def test_structured_output(client, messages):
    answer = client.chat.completions.parse(model="mock-json", messages=messages, response_format=Person)
    assert answer.choices[0].message.parsed == Person(name="Ada", age=36)


def test_structured_output_streamed(client, messages):
    with client.chat.completions.stream(
        model="mock-json", messages=messages, response_format=Person
    ) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == Person(name="Ada", age=36)


def test_refusal(client, messages):
    answer = client.chat.completions.parse(model="mock-refusal", messages=messages, response_format=Person)
    assert answer.choices[0].message.parsed is None
    assert answer.choices[0].message.refusal == "I can't help with that."


def test_no_content(client, messages):
    answer = client.chat.completions.create(model="mock-null", messages=messages)
    assert answer.choices[0].message.content is None


def test_vision(client):
    url = "data:image/png;base64," + "A" * 300_000
    parts = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    answer = client.chat.completions.create(
        model="mock-vision", messages=[{"role": "user", "content": parts}]
    )
    assert answer.choices[0].message.content == "images: 1, url bytes: [300022]"


# === other endpoints ===


def test_completions(client):
    answer = client.completions.create(model="mock", prompt="say")
    assert answer.choices[0].text.startswith("the quick")
    stream = client.completions.create(model="mock-s3", prompt="say", stream=True)
    assert [chunk.choices[0].text.split(" ")[0] for chunk in stream] == ["w000000", "w000001", "w000002", ""]


def test_embeddings(client):
    answer = client.embeddings.create(model="mock", input=["a", "b", "c"], dimensions=16)
    assert [len(item.embedding) for item in answer.data] == [16] * 3
    floats = client.embeddings.create(model="mock", input="a", dimensions=16, encoding_format="float")
    assert floats.data[0].embedding == pytest.approx(answer.data[0].embedding)


def test_models(client):
    assert "mock-s200-d20" in [model.id for model in client.models.list()]
    assert client.models.retrieve("mock").id == "mock"
    assert client.models.retrieve("acme/mock").id == "acme/mock"


def test_responses(client):
    answer = client.responses.create(model="mock", input="say something")
    assert answer.output_text.startswith("the quick") and answer.usage.input_tokens == 21
    parsed = client.responses.parse(model="mock-json", input="who?", text_format=Person)
    assert parsed.output_parsed == Person(name="Ada", age=36)


def test_responses_streamed(client):
    with client.responses.stream(model="mock-s5", input="say something") as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert len(deltas) == 5 and final.output_text == "".join(deltas)
    assert final.usage.output_tokens == 5


def test_responses_tools_streamed(client):
    with client.responses.stream(model="mock-tools", input="weather?") as stream:
        final = stream.get_final_response()
    assert [item.arguments for item in final.output] == ['{"city":"Paris"}', '{"city":"Oslo"}']


def test_audio_upload(client):
    data = bytes(range(256)) * 8_192
    answer = client.audio.transcriptions.create(model="mock", file=("speech.wav", data, "audio/wav"))
    assert answer.text == "mock transcript"
    [file] = [part for part in answer.upload if "filename" in part]
    assert file["filename"] == "speech.wav" and file["bytes"] == len(data)
    assert file["sha256"] == hashlib.sha256(data).hexdigest()


def test_speech(client):
    wanted = bytes((at * 7 + at // 256) % 256 for at in range(100_000))
    speech = client.audio.speech.create(model="mock-b100000", voice="alloy", input="hello")
    assert speech.content == wanted and speech.response.headers["content-type"] == "audio/mpeg"
    with client.audio.speech.with_streaming_response.create(
        model="mock-b100000", voice="alloy", input="hello"
    ) as speech:
        assert b"".join(speech.iter_bytes()) == wanted


def test_files(client):
    file = client.files.create(file=("data.bin", b"\x00\xff" * 10), purpose="assistants")
    assert (file.filename, file.bytes) == ("data.bin", 20)
    assert len(client.files.content(file.id).content) == 4_096
    assert client.files.delete(file.id).deleted


def test_other_paths(client):
    echo = client.post("/fine_tuning/jobs?a=1&b=%2F", cast_to=object, body={"x": 1})
    assert (echo["method"], echo["path"], echo["query"]) == ("POST", "/v1/fine_tuning/jobs", "a=1&b=%2F")


# === errors, retries, leaving ===


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_error_classes(client, messages, status, kind, stream):
    with pytest.raises(kind) as raised:
        client.chat.completions.create(model=f"mock-err-{status}", messages=messages, stream=stream)
    assert raised.value.status_code == status
    assert f"mock error {status}" in raised.value.message
    assert raised.value.body["param"] is None


def test_error_inside_a_stream(client, messages):
    stream = client.chat.completions.create(model="mock-s6-errevent", messages=messages, stream=True)
    seen = []
    with pytest.raises(openai.APIError, match="mock error inside the stream"):
        seen.extend(stream)
    assert len(seen) == 4


def test_retries(client, messages):
    twice = client.with_options(max_retries=2)
    create = twice.chat.completions.create
    assert create(model="mock-err-503-times-2-after-0", messages=messages).choices


def test_too_few_retries(client, messages):
    with pytest.raises(openai.InternalServerError):
        client.with_options(max_retries=1).chat.completions.create(
            model="mock-err-503-times-2-after-0", messages=messages
        )


def test_should_retry_is_obeyed(client, messages):
    create = client.with_options(max_retries=2).chat.completions.create
    with pytest.raises(openai.InternalServerError):
        create(model="mock-err-500-times-1-noretry", messages=messages)
    headers = {"x-test-id": "should-retry-" + str(time.time_ns())}
    answer = create(model="mock-err-400-times-1-retry-after-0", messages=messages, extra_headers=headers)
    assert answer.choices


def test_retry_after_is_obeyed(client, messages):
    begun = time.monotonic()
    answer = client.with_options(max_retries=1).chat.completions.create(
        model="mock-err-429-times-1-after-1", messages=messages
    )
    assert answer.choices and time.monotonic() - begun >= 1


@pytest.mark.parametrize("model", ["mock-slow-60000", "mock-stall"])
def test_time_limit(client, messages, model):
    short = client.with_options(timeout=0.3)
    with pytest.raises((openai.APITimeoutError, httpx2.ReadTimeout)):
        list(short.chat.completions.create(model=model, messages=messages, stream=True))


def test_leaving_a_stream(client, messages):
    stream = client.chat.completions.create(model="mock-s1000-d20", messages=messages, stream=True)
    next(stream)
    next(stream)
    stream.close()
    assert client.chat.completions.create(model="mock", messages=messages).choices
