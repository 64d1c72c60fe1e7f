"""Gemini's client, OpenAI's Responses and AWS's client before a node of OCF, Ask Sage and Argo; Gemini's array, and its
embeddings."""

import functools
import json
import os

import anthropic
import boto3
import httpx
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from conftest import base_url
from google import genai
from google.genai import errors, types

URL = os.environ["AIPROXY_OTHERS_URL"].removesuffix("/v1")
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
NAMES = ["get_weather", "get_time"]
CITIES = [{"city": "Paris"}, {"city": "Oslo"}]
OTHERS = ["node", "sage", "argo"]
BEGINS = "the quick brown fox"


def called(provider):
    """What the mock calls: the tools that it is offered. It reads none in words, as Argo is told of them."""
    names = ["get_weather", "get_weather"] if provider == "argo" else NAMES
    return list(zip(names, CITIES, strict=True))


class Gemini:
    """Google's client."""

    refused = errors.APIError

    def __init__(self, url=URL):
        options = types.HttpOptions(base_url=url, api_version="v1beta", timeout=20_000)
        # Kept: dropped, it closes what its models stand on.
        self.client = genai.Client(api_key="AIza-client-tests", vertexai=False, http_options=options)
        self.models = self.client.models

    def text(self, model):
        return self.models.generate_content(model=model, contents="say something").text

    def stream(self, model):
        chunks = list(self.models.generate_content_stream(model=model, contents="say something"))
        assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
        return "".join(chunk.text or "" for chunk in chunks)

    def calls(self, model):
        functions = [{"name": name, "parameters": CITY} for name in NAMES]
        config = types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=functions)],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )
        answer = self.models.generate_content(model=model, contents="what is the weather?", config=config)
        return [(call.name, call.args) for call in answer.function_calls]

    def status(self, error):
        return error.code


class Array(Gemini):
    """Clients of Gemini's REST without events: one array in pieces."""

    refused = httpx.HTTPStatusError

    def __init__(self, url=URL):
        self.url = url

    def asked(self, model, call, **more):
        path = f"/v1beta/models/{model.replace('/', '%2F')}:{call}"
        said = {"contents": [{"role": "user", "parts": [{"text": "say something"}]}], **more}
        headers = {"x-goog-api-key": "AIza-client-tests"}
        answer = httpx.post(self.url + path, json=said, headers=headers, timeout=20).raise_for_status()
        assert answer.headers["content-type"].startswith("application/json")
        items = answer.json() if call.startswith("stream") else [answer.json()]
        assert isinstance(items, list) and items[-1]["candidates"][0]["finishReason"] == "STOP"
        return [part for item in items for part in item["candidates"][0].get("content", {}).get("parts", [])]

    def stream(self, model):
        return "".join(part.get("text", "") for part in self.asked(model, "streamGenerateContent"))

    def text(self, model):
        return "".join(part.get("text", "") for part in self.asked(model, "generateContent"))

    def calls(self, model):
        tools = [{"functionDeclarations": [{"name": name, "parameters": CITY} for name in NAMES]}]
        parts = self.asked(model, "streamGenerateContent", tools=tools)
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        return [(call["name"], call["args"]) for call in calls]

    def status(self, error):
        assert error.response.json()["error"]["code"] == error.response.status_code
        return error.response.status_code


class Responses:
    """OpenAI's newer call."""

    refused = openai.APIStatusError

    def __init__(self):
        self.client = openai.OpenAI(base_url=f"{URL}/v1", api_key="sk-client-tests", max_retries=0, timeout=20)
        self.responses = self.client.responses

    def text(self, model):
        return self.responses.create(model=model, input="say something").output_text

    def stream(self, model):
        with self.responses.stream(model=model, input="say something") as stream:
            texts = [event.delta for event in stream if event.type == "response.output_text.delta"]
            assert stream.get_final_response().status == "completed"
        return "".join(texts)

    def calls(self, model):
        tools = [{"type": "function", "name": name, "parameters": CITY} for name in NAMES]
        answer = self.responses.create(model=model, input="what is the weather?", tools=tools)
        calls = [item for item in answer.output if item.type == "function_call"]
        return [(call.name, json.loads(call.arguments)) for call in calls]

    def status(self, error):
        return error.status_code


class Converse:
    """AWS's client of Bedrock."""

    refused = ClientError
    said = {"messages": [{"role": "user", "content": [{"text": "say something"}]}]}

    def __init__(self):
        self.client = boto3.client(
            "bedrock-runtime",
            endpoint_url=URL,
            region_name="us-east-1",
            aws_access_key_id="AKIDCLIENTTESTS",
            aws_secret_access_key="of-client-tests",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=20),
        )

    def text(self, model):
        answer = self.client.converse(modelId=model, **self.said)
        return answer["output"]["message"]["content"][0]["text"]

    def stream(self, model):
        events = list(self.client.converse_stream(modelId=model, **self.said)["stream"])
        assert {"messageStop": {"stopReason": "end_turn"}} in events
        deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
        return "".join(delta["text"] for delta in deltas)

    def calls(self, model):
        tools = [{"toolSpec": {"name": name, "inputSchema": {"json": CITY}}} for name in NAMES]
        answer = self.client.converse(modelId=model, toolConfig={"tools": tools}, **self.said)
        calls = [block["toolUse"] for block in answer["output"]["message"]["content"] if "toolUse" in block]
        return [(call["name"], call["input"]) for call in calls]

    def status(self, error):
        return error.response["ResponseMetadata"]["HTTPStatusCode"]


made = functools.cache(lambda client, *url: client(*url))
CLIENTS = [Gemini, Array, Responses, Converse]
EACH = [pytest.param(client, provider, id=f"{client.__name__}-{provider}") for client in CLIENTS for provider in OTHERS]
BEFORE = pytest.mark.parametrize("client, provider", EACH)


@BEFORE
def test_text_and_stream(client, provider):
    client = made(client)
    assert client.text(f"{provider}/mock").startswith(BEGINS)
    for model in ["mock-s50", "mock-s50-utf8"]:
        text = client.stream(f"{provider}/{model}")
        # Ask Sage's answers are whole ones.
        assert text == client.text(f"{provider}/{model}") if provider == "sage" else text.startswith("w000000 ")


@BEFORE
def test_tools(client, provider):
    assert made(client).calls(f"{provider}/mock-tools") == called(provider)


@BEFORE
def test_errors(client, provider):
    client = made(client)
    for model, status in [("mock-err-400", 400), ("mock-err-429", 429), ("mock-err-500", 500)]:
        for ask in (client.text, client.stream):
            with pytest.raises(client.refused) as raised:
                ask(f"{provider}/{model}")
            assert client.status(raised.value) == status


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    "model, status",
    [("node/mock-nodeerror", 502), ("sage/mock-gone", 404), ("sage/mock-denied", 502), ("argo/mock-denied", 403)],
)
def test_failures_under_a_good_status(client, model, status):
    client = made(client)
    for ask in (client.text, client.stream):
        with pytest.raises(client.refused) as raised:
            ask(model)
        assert client.status(raised.value) == status


# === Gemini's array and embeddings before all others ===


@pytest.mark.parametrize("provider", ["gemini", "openai", "anthropic", "bedrock", "azure"])
def test_array(provider):
    client = made(Array, base_url().removesuffix("/v1"))
    assert client.stream(f"{provider}/mock-s50").startswith("w000000 ")
    assert client.calls(f"{provider}/mock-tools") == list(zip(NAMES, CITIES, strict=True))
    with pytest.raises(client.refused) as raised:
        client.stream(f"{provider}/mock-err-429")
    assert client.status(raised.value) == 429


@pytest.mark.parametrize(
    "url, model",
    [
        (base_url(), "gemini/mock"),
        (base_url(), "openai/mock"),
        (base_url(), "azure/mock"),
        (URL, "node/mock"),
        (URL, "argo/argo:text-embedding-3-small"),
    ],
)
def test_embeddings(url, model):
    client = made(Gemini, url.removesuffix("/v1"))
    answer = client.models.embed_content(model=model, contents=["a", "b"])
    vectors = [embedding.values for embedding in answer.embeddings]
    assert len(vectors) == 2 and all(isinstance(number, float) for vector in vectors for number in vector)


@pytest.mark.parametrize(
    "url, model",
    [(base_url(), "anthropic/mock"), (base_url(), "bedrock/mock"), (URL, "sage/mock")],
)
def test_embeddings_that_a_kind_does_not_have(url, model):
    kind = {"sage": "asksage"}.get(model.split("/")[0], model.split("/")[0])
    gemini = made(Gemini, url.removesuffix("/v1"))
    with pytest.raises(errors.ClientError) as raised:
        gemini.models.embed_content(model=model, contents=["a"])
    assert raised.value.code == 400 and f"kind '{kind}', which has no embeddings" in raised.value.message
    client = openai.OpenAI(base_url=f"{url.removesuffix('/v1')}/v1", api_key="sk-client-tests", max_retries=0)
    with pytest.raises(openai.BadRequestError) as raised:
        client.embeddings.create(model=model, input="a")
    assert (raised.value.code, raised.value.param) == ("unsupported_parameter", "model")


def test_lists_of_models():
    """Of the three that no client is of, in each client's form."""
    gemini = made(Gemini)
    names = [model.name for model in gemini.models.list()]
    assert "models/argo:gpt-4o" in names and "models/acme/mock" in names
    assert len(names) == len(set(names))
    claude = anthropic.Anthropic(base_url=URL, api_key="sk-ant-client-tests", max_retries=0, timeout=20)
    models = list(claude.models.list())
    assert {"argo:gpt-4o", "acme/mock"} <= {model.id for model in models}
    assert all(model.type == "model" and model.created_at for model in models)
    own = anthropic.Anthropic(base_url=base_url().removesuffix("/v1"), api_key="sk-ant-client-tests", max_retries=0)
    assert own.models.list().data[0].display_name == "mock"
    assert own.models.retrieve("mock").id == "mock"
