"""Clients that leave a stream, before their own provider and before others: the provider's ends, the row says who went."""

import json

import httpx
import pytest
from conftest import base_url, open_streams, rows_of, wait_until
from google import genai
from google.genai import types
from test_bedrock import CLAUDE, MESSAGES, made

# As long as it is written, nobody but the one who leaves can end it.
MODEL = "mock-s1000-d20"


def chat(model, named, client, **_):
    said = [{"role": "user", "content": "hi"}]
    return client.chat.completions.create(model=model, messages=said, stream=True, extra_headers=named)


def deployment(model, named, azure, **_):
    return chat(model, named, azure)


def response(model, named, client, **_):
    return client.responses.create(model=model, input="hi", stream=True, extra_headers=named)


def message(model, named, claude, **_):
    said = [{"role": "user", "content": "hi"}]
    return claude.messages.create(model=model, max_tokens=64, messages=said, stream=True, extra_headers=named)


def content(model, named, gemini, **_):
    config = types.GenerateContentConfig(http_options=types.HttpOptions(headers=named))
    return gemini.models.generate_content_stream(model=model, contents="hi", config=config)


def array(model, named, **_):
    """Gemini's stream without events."""
    url = f"{base_url().removesuffix('/v1')}/v1beta/models/{model.replace('/', '%2F')}:streamGenerateContent"
    asked = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    client = httpx.Client(headers={**named, "x-goog-api-key": "AIza-client-tests"})
    answer = client.send(client.build_request("POST", url, json=asked), stream=True)
    return Pieces(answer)


class Pieces:
    def __init__(self, answer):
        self.answer = answer
        self.close = answer.close

    def __iter__(self):
        return self.answer.iter_raw()


def converse(model, named, **_):
    return made(named["x-aiproxy-user"]).converse_stream(modelId=model, messages=MESSAGES)["stream"]


def invoke(model, named, **_):
    body = json.dumps(CLAUDE)
    return made(named["x-aiproxy-user"]).invoke_model_with_response_stream(modelId=model, body=body)["body"]


@pytest.fixture
def gemini():
    options = types.HttpOptions(base_url=base_url().removesuffix("/v1"), timeout=20_000)
    return genai.Client(api_key="AIza-client-tests", vertexai=False, http_options=options)


LEFT = {
    chat: ["openai", "anthropic", "gemini", "bedrock", "azure"],
    deployment: ["azure", "openai", "anthropic", "gemini"],
    response: ["openai", "anthropic", "gemini"],
    message: ["anthropic", "openai", "gemini", "azure"],
    content: ["gemini", "openai", "anthropic", "bedrock"],
    array: ["gemini", "openai", "anthropic", "bedrock"],
    converse: ["bedrock", "openai", "anthropic", "gemini"],
    invoke: ["bedrock", "openai", "anthropic"],
}


@pytest.mark.parametrize("ask, provider", [(ask, provider) for ask, each in LEFT.items() for provider in each])
def test_leaving(client, azure, claude, gemini, user, ask, provider):
    wait_until(lambda: open_streams() == 0)
    clients = {"client": client, "azure": azure, "claude": claude, "gemini": gemini}
    stream = ask(f"{provider}/{MODEL}", {"x-aiproxy-user": user}, **clients)
    events = iter(stream)
    # The first ones of some tell nothing but that there is an answer.
    for _ in range(4):
        next(events)
    assert open_streams() == 1
    stream.close()
    wait_until(lambda: open_streams() == 0)
    [row] = rows_of(user, 1)
    facts = (row["provider"], row["outcome"], row["response_complete"])
    assert facts == (provider, "client_disconnected", False)
    assert row["response_text"].startswith("w000000 ")
