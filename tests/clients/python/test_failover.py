"""The OpenAI client before a model of two targets, the first of which fails again and again: nobody notices."""

import os

import openai
import pytest


@pytest.fixture
def client():
    url = os.environ["AIPROXY_OTHERS_URL"]
    with openai.OpenAI(base_url=url, api_key="sk-client-tests", max_retries=2, timeout=20) as client:
        yield client


def test_chats(client, messages):
    create = client.chat.completions.with_raw_response.create
    answers = [create(model="flapping", messages=messages) for _ in range(100)]
    # The proxy tries again, so the client never does.
    assert {answer.retries_taken for answer in answers} == {0}
    assert {answer.parse().choices[0].finish_reason for answer in answers} == {"stop"}
    assert {answer.headers["x-aiproxy-provider"] for answer in answers} >= {"well"}
    assert "2" in {answer.headers["x-aiproxy-attempts"] for answer in answers}


@pytest.mark.parametrize("model", ["flapping", "stillborn"])
def test_streams(client, messages, model):
    for _ in range(15):
        chunks = list(client.chat.completions.create(model=model, messages=messages, stream=True))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text.startswith("w000000 ")
        assert chunks[-1].choices[0].finish_reason == "stop"
