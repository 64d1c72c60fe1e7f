"""OpenAI's client for Azure through the proxy: the deployment in its paths is the model. Before OpenAI and Azure, and before
others by translation."""

import openai
import pytest
from test_translation import FUNCTIONS, IMAGE

EACH = pytest.mark.parametrize("provider", ["openai", "azure", "anthropic", "gemini", "bedrock"])


def ask(azure, model, messages, **more):
    return azure.chat.completions.create(model=model, messages=messages, **more)


@EACH
def test_chat(azure, messages, provider):
    answer = ask(azure, f"{provider}/mock", messages)
    assert answer.choices[0].finish_reason == "stop" and answer.model == "mock"
    assert answer.choices[0].message.content.startswith("the quick brown fox")
    # Nobody but Azure tells of its filter, which passes as it is.
    judged = answer.model_dump().get("prompt_filter_results", [{}])[0].get("content_filter_results", {})
    assert (provider == "azure") == ("hate" in judged)


@EACH
def test_stream(azure, messages, provider):
    chunks = list(ask(azure, f"{provider}/mock-s7", messages, stream=True))
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert [text[:7] for text in texts if text] == [f"w{number:06}" for number in range(7)]
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)
    assert (provider == "azure") == (chunks[0].choices == [])


@EACH
def test_tools_streamed(azure, messages, provider):
    model = f"{provider}/mock-tools"
    with azure.chat.completions.stream(model=model, messages=messages, tools=FUNCTIONS) as stream:
        stream.until_done()
        calls = stream.get_final_completion().choices[0].message.tool_calls
    calls = [(call.function.name, call.function.arguments.replace(" ", "")) for call in calls]
    assert calls == [("get_weather", '{"city":"Paris"}'), ("get_time", '{"city":"Oslo"}')]


@EACH
def test_vision(azure, provider):
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}}
    answer = ask(azure, f"{provider}/mock-vision", [{"role": "user", "content": [image]}])
    assert answer.choices[0].message.content.startswith("images: 1,")


@pytest.mark.parametrize("provider", ["openai", "azure", "gemini"])
def test_embeddings(azure, provider):
    assert len(azure.embeddings.create(model=f"{provider}/mock", input=["a", "b"]).data) == 2


@EACH
@pytest.mark.parametrize("status, error", [(400, openai.BadRequestError), (429, openai.RateLimitError)])
def test_errors(azure, messages, provider, status, error):
    with pytest.raises(error) as raised:
        ask(azure, f"{provider}/mock-err-{status}", messages)
    assert raised.value.body["message"] == f"mock error {status}"


def test_names_without_a_provider(azure, messages):
    assert ask(azure, "mock", messages).model == "mock"
