"""OpenAI's client for Azure through the proxy: the deployment in its paths is the model."""

import openai
import pytest
from conftest import base_url


@pytest.fixture
def azure():
    with openai.AzureOpenAI(
        azure_endpoint=base_url().removesuffix("/v1"),
        api_version="2024-10-21",
        api_key="azure-client-tests",
        max_retries=0,
        timeout=20,
    ) as client:
        yield client


def test_chat(azure, messages):
    answer = azure.chat.completions.create(model="mock", messages=messages)
    assert answer.choices[0].finish_reason == "stop" and answer.model == "mock"


def test_stream(azure, messages):
    chunks = list(azure.chat.completions.create(model="mock-s7", messages=messages, stream=True))
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


def test_embeddings(azure):
    assert len(azure.embeddings.create(model="mock", input=["a", "b"]).data) == 2


def test_errors(azure, messages):
    with pytest.raises(openai.RateLimitError):
        azure.chat.completions.create(model="mock-err-429", messages=messages)
