"""LangChain's OpenAI models, unchanged but for their base URL: before OpenAI and, by translation, before Anthropic and
Gemini, as chats and as Responses. What the record says is looked at as well."""

import asyncio
import uuid

import openai
import pytest
from conftest import base_url, logs, rows_of
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

IMAGE = "iVBORw0KGgo="
# What the mock counts for one question: the whole input with what the cache read, and what it thought, a part of the output.
TOKENS = {"openai": (21, 0), "anthropic": (25, 0), "gemini": (21, 2)}


class Person(BaseModel):
    name: str
    age: int


class Place(BaseModel):
    city: str


@tool
def get_weather(city: str) -> str:
    """The weather."""
    return f"sunny in {city}"


@tool
def get_time(city: str) -> str:
    """The time."""
    return f"noon in {city}"


TOOLS = {"get_weather": get_weather, "get_time": get_time}


class Asker:
    """One test's user before one provider through one of OpenAI's APIs."""

    def __init__(self, endpoint, provider):
        self.user = str(uuid.uuid4())
        self.provider = provider
        self.endpoint = endpoint
        self.prompt, self.thought = TOKENS[provider]

    def model(self, name, **more):
        return ChatOpenAI(
            model=f"{self.provider}/{name}",
            base_url=base_url(),
            api_key="sk-client-tests",
            max_retries=0,
            timeout=20,
            use_responses_api=self.endpoint == "responses",
            stream_usage=True,
            default_headers={"x-aiproxy-user": self.user},
            **more,
        )

    def rows(self, count):
        return rows_of(self.user, count)

    def is_row(self, row, **expected):
        """A row of a good answer, but for what is said otherwise."""
        plain = {"outcome": "ok", "status_code": 200, "dropped": None}
        expected = {"endpoint": self.endpoint, "provider": self.provider, **plain, **expected}
        assert {name: row[name] for name in expected} == expected


@pytest.fixture(params=["openai", "anthropic", "gemini"])
def provider(request):
    return request.param


@pytest.fixture(params=["chat.completions", "responses"])
def asker(request, provider):
    return Asker(request.param, provider)


def joined(chunks):
    """The chunks of an answer added up, as LangChain does it."""
    whole = None
    for chunk in chunks:
        whole = chunk if whole is None else whole + chunk
    return whole


def sent(row):
    """The body that went to the provider."""
    bodies = logs("show", row["request_id"])[0]["exchange_bodies"]
    return bodies["upstream_request_body"] or bodies["request_body"]


def test_chat(asker):
    said = [SystemMessage("be brief"), HumanMessage("say something")]
    answer = asker.model("mock", temperature=0.2, max_tokens=64).invoke(said)
    assert answer.text.startswith("the quick brown fox")
    usage = (asker.prompt, 10 + asker.thought)
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == usage
    [row] = asker.rows(1)
    asker.is_row(row, stream=False, response_text=answer.text, prompt_tokens=usage[0], completion_tokens=usage[1])
    assert row["response_complete"] is True


def test_stream(asker):
    chunks = list(asker.model("mock-s20-utf8").stream("say something"))
    texts = [chunk.text for chunk in chunks if chunk.text]
    assert [text[:7] for text in texts] == [f"w{number:06}" for number in range(20)]
    written = 20 + asker.thought
    assert joined(chunks).usage_metadata["output_tokens"] == written
    [row] = asker.rows(1)
    asker.is_row(row, stream=True, response_text="".join(texts), completion_tokens=written, finish_reason="stop")


def test_tools_and_their_results(asker):
    said = [HumanMessage("what is the weather?")]
    model = asker.model("mock-tools").bind_tools([*TOOLS.values()])
    answers = [model.invoke(said), joined(model.stream(said))]
    for answer in answers:
        calls = [(call["name"], call["args"]) for call in answer.tool_calls]
        assert calls == [("get_weather", {"city": "Paris"}), ("get_time", {"city": "Oslo"})]
        results = [TOOLS[call["name"]].invoke(call) for call in answer.tool_calls]
        again = asker.model("mock").bind_tools([*TOOLS.values()]).invoke([*said, answer, *results])
        assert again.text.startswith("the quick brown fox") and not again.tool_calls
    *called, first, second = asker.rows(4)
    for row, streamed in zip(called, [False, True], strict=True):
        asker.is_row(row, stream=streamed, finish_reason="tool_calls")
        assert [call["function"]["name"] for call in row["tool_calls"]] == [*TOOLS]
    for row in [first, second]:
        asker.is_row(row, finish_reason="stop", response_text=again.text)
        assert "sunny in Paris" in sent(row) and "noon in Oslo" in sent(row)


def test_vision(asker):
    image = {"type": "image", "base64": IMAGE, "mime_type": "image/png"}
    said = HumanMessage([{"type": "text", "text": "what is it?"}, image])
    answer = asker.model("mock-vision").invoke([said])
    # OpenAI's images are URLs, others' are what stands in them.
    size = len(f"data:image/png;base64,{IMAGE}" if asker.provider == "openai" else IMAGE)
    assert answer.text == f"images: 1, url bytes: [{size}]"
    [row] = asker.rows(1)
    asker.is_row(row, request_text="what is it?", response_text=answer.text)


@pytest.mark.parametrize(
    "method, model, expected",
    [
        ("json_schema", "mock-json", Person(name="Ada", age=36)),
        ("function_calling", "mock-tools", Place(city="Paris")),
    ],
)
def test_structured_output(asker, method, model, expected):
    structured = asker.model(model).with_structured_output(type(expected), method=method)
    assert structured.invoke("who, and where?") == expected
    [row] = asker.rows(1)
    # It asks for one call only, which Gemini cannot be told.
    alone = method == "function_calling" and asker.provider == "gemini"
    asker.is_row(row, dropped=["parallel_tool_calls"] if alone else None, response_complete=True)
    assert all(f'"{name}"' in sent(row) for name in type(expected).model_fields)


@pytest.mark.parametrize("provider, said", [("openai", "json_object"), ("gemini", "application/json")])
def test_json_without_a_schema(asker, said):
    structured = asker.model("mock-json").with_structured_output(Person, method="json_mode")
    assert structured.invoke("who, in JSON?") == Person(name="Ada", age=36)
    [row] = asker.rows(1)
    asker.is_row(row, response_complete=True)
    assert f'"{said}"' in sent(row)


@pytest.mark.parametrize("provider", ["anthropic"])
def test_json_without_a_schema_is_refused_by_its_name(asker):
    structured = asker.model("mock-json").with_structured_output(Person, method="json_mode")
    field = {"chat.completions": "response_format.type", "responses": "text.format.type"}[asker.endpoint]
    with pytest.raises(openai.BadRequestError, match=f"'{field}' cannot be passed"):
        structured.invoke("who?")


ERRORS = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
}


def test_errors(asker):
    for status, error in ERRORS.items():
        model = asker.model(f"mock-err-{status}")
        for ask in [lambda: model.invoke("hi"), lambda: list(model.stream("hi"))]:
            with pytest.raises(error) as raised:
                ask()
            # LangChain's own class of it.
            assert type(raised.value).__module__.startswith("langchain_openai.")
            assert raised.value.status_code == status and f"mock error {status}" in str(raised.value)
    rows = asker.rows(2 * len(ERRORS))
    assert [(row["status_code"], row["stream"]) for row in rows] == [
        (status, streamed) for status in ERRORS for streamed in [False, True]
    ]
    for row in rows:
        status = row["status_code"]
        outcome = "rate_limited" if status == 429 else "upstream_error"
        asker.is_row(row, outcome=outcome, error_message=f"mock error {status}", status_code=status)


def test_a_stream_that_breaks(asker):
    seen = []
    with pytest.raises(openai.APIError, match="the connection to the provider broke"):
        seen.extend(asker.model("mock-s20-cut-5").stream("hi"))
    assert len([chunk for chunk in seen if chunk.text]) == 5
    [row] = asker.rows(1)
    asker.is_row(row, outcome="upstream_truncated", response_complete=False, repairs=["error_event"])


def test_leaving_a_stream(asker):
    model = asker.model("mock-s1000-d20")
    stream = model.stream("hi")
    assert next(chunk.text for chunk in stream if chunk.text).startswith("w000000 ")
    stream.close()
    asyncio.run(cancelled(model))
    for row in asker.rows(2):
        asker.is_row(row, outcome="client_disconnected", response_complete=False)
        assert row["response_text"].startswith("w000000 ")


async def cancelled(model):
    """Cancels a task that reads a stream, once there is text."""
    begun = asyncio.Event()

    async def read():
        async for chunk in model.astream("hi"):
            if chunk.text:
                begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("provider, dimensions", [("openai", 8), ("gemini", 3)])
def test_embeddings(provider, dimensions):
    user = str(uuid.uuid4())
    model = OpenAIEmbeddings(
        model=f"{provider}/mock",
        base_url=base_url(),
        api_key="sk-client-tests",
        max_retries=0,
        # Else it sends tokens in place of texts, and fetches from elsewhere what it counts them with.
        check_embedding_ctx_length=False,
        default_headers={"x-aiproxy-user": user},
    )
    vectors = model.embed_documents(["a", "b"])
    assert [len(vector) for vector in vectors] == [dimensions] * 2
    [row] = rows_of(user, 1)
    assert (row["endpoint"], row["provider"], row["outcome"]) == ("embeddings", provider, "ok")
    assert row["dropped"] is None
