"""AWS's client for Bedrock before OpenAI, Anthropic and Gemini: the first part of a model's name is its provider."""

import json

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from conftest import base_url

OTHERS = pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
NAMES = ["get_weather", "get_time"]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = {"tools": [{"toolSpec": {"name": name, "inputSchema": {"json": CITY}}} for name in NAMES]}
# What the mock says of an image and a document: a URL of OpenAI's, else what stands in them.
SEEN = {"openai": "1, url bytes: [34]", "anthropic": "2, url bytes: [12, 7]", "gemini": "1, url bytes: [12]"}
INPUTS = [{"city": "Paris"}, {"city": "Oslo"}]
SAID = [{"role": "user", "content": [{"text": "say something"}]}]
BODY = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "say something"}],
}


@pytest.fixture(scope="module")
def bedrock():
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=base_url().removesuffix("/v1"),
        region_name="us-east-1",
        aws_access_key_id="AKIDCLIENTTESTS",
        aws_secret_access_key="of-client-tests",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=20),
    )


def events_of(stream):
    """Kinds and payloads."""
    return [next(iter(event.items())) for event in stream]


@OTHERS
def test_converse(bedrock, provider):
    answer = bedrock.converse(
        modelId=f"{provider}/mock",
        system=[{"text": "be brief"}],
        messages=SAID,
        inferenceConfig={"maxTokens": 64, "temperature": 0.5, "stopSequences": ["x"]},
    )
    assert answer["output"]["message"]["content"][0]["text"].startswith("the quick brown fox")
    assert answer["stopReason"] == "end_turn"
    usage = answer["usage"]
    counted = usage["inputTokens"] + usage.get("cacheReadInputTokens", 0) + usage["outputTokens"]
    assert usage["outputTokens"] >= 10 and usage["totalTokens"] == counted


@OTHERS
@pytest.mark.parametrize("model", ["mock-s50", "mock-s50-utf8", "mock-s5-bytes1"])
def test_converse_stream(bedrock, provider, model):
    answer = bedrock.converse_stream(modelId=f"{provider}/{model}", messages=SAID)
    events = events_of(answer["stream"])
    texts = [said["delta"]["text"] for kind, said in events if kind == "contentBlockDelta"]
    numbers = [text.split(" ")[0] for text in texts if text]
    assert numbers == [f"w{number:06}" for number in range(len(numbers))] and len(numbers) >= 5
    assert events[0] == ("messageStart", {"role": "assistant"})
    assert events[-2] == ("messageStop", {"stopReason": "end_turn"})
    assert events[-1][0] == "metadata" and events[-1][1]["usage"]["outputTokens"] > 0


@OTHERS
def test_converse_tools_and_their_results(bedrock, provider):
    asked = {"modelId": f"{provider}/mock-tools", "messages": SAID, "toolConfig": TOOLS}
    answer = bedrock.converse(**asked)
    message = answer["output"]["message"]
    calls = [part["toolUse"] for part in message["content"] if "toolUse" in part]
    assert [(call["name"], call["input"]) for call in calls] == list(zip(NAMES, INPUTS))
    assert answer["stopReason"] == "tool_use"
    results = [{"toolResult": {"toolUseId": call["toolUseId"], "content": [{"json": {"ok": True}}]}} for call in calls]
    said = [*SAID, message, {"role": "user", "content": results}]
    again = bedrock.converse(modelId=f"{provider}/mock", messages=said, toolConfig=TOOLS)
    assert again["stopReason"] == "end_turn"


@OTHERS
def test_converse_stream_tools(bedrock, provider):
    answer = bedrock.converse_stream(modelId=f"{provider}/mock-tools", messages=SAID, toolConfig=TOOLS)
    names, inputs = {}, {}
    for kind, said in events_of(answer["stream"]):
        if kind == "contentBlockStart":
            names[said["contentBlockIndex"]] = said["start"]["toolUse"]["name"]
        elif kind == "contentBlockDelta" and "toolUse" in said["delta"]:
            index = said["contentBlockIndex"]
            inputs[index] = inputs.get(index, "") + said["delta"]["toolUse"]["input"]
    assert list(names.values()) == NAMES
    assert [json.loads(text) for text in inputs.values()] == INPUTS


@OTHERS
def test_converse_with_images_and_documents(bedrock, provider):
    parts = [
        {"text": "what is this?"},
        {"image": {"format": "png", "source": {"bytes": b"\x89PNG\r\n\x1a\n"}}},
        {"document": {"format": "txt", "name": "notes", "source": {"bytes": "Grüße".encode()}}},
    ]
    answer = bedrock.converse(modelId=f"{provider}/mock-vision", messages=[{"role": "user", "content": parts}])
    assert answer["output"]["message"]["content"][0]["text"] == f"images: {SEEN[provider]}"


@OTHERS
def test_invoke(bedrock, provider):
    answer = bedrock.invoke_model(modelId=f"{provider}/mock", body=json.dumps(BODY))
    said = json.loads(answer["body"].read())
    assert said["type"] == "message" and said["stop_reason"] == "end_turn"
    assert said["content"][0]["text"].startswith("the quick brown fox")


@OTHERS
def test_invoke_stream(bedrock, provider):
    answer = bedrock.invoke_model_with_response_stream(modelId=f"{provider}/mock-s50", body=json.dumps(BODY))
    events = [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]
    texts = [event["delta"]["text"] for event in events if event["type"] == "content_block_delta"]
    assert len(texts) >= 5 and texts[0].startswith("w000000")
    assert events[-1]["type"] == "message_stop"
    assert events[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] > 0


@OTHERS
@pytest.mark.parametrize(
    "status, kind",
    [(400, "ValidationException"), (429, "ThrottlingException"), (500, "InternalServerException")],
)
def test_errors(bedrock, provider, status, kind):
    with pytest.raises(ClientError) as raised:
        bedrock.converse(modelId=f"{provider}/mock-err-{status}", messages=SAID)
    said = raised.value.response
    assert (said["ResponseMetadata"]["HTTPStatusCode"], said["Error"]["Code"]) == (status, kind)
    assert said["Error"]["Message"]


def test_what_cannot_be_asked_is_named(bedrock):
    guardrail = {"guardrailIdentifier": "g", "guardrailVersion": "1"}
    with pytest.raises(ClientError, match="ValidationException.*'guardrailConfig'"):
        bedrock.converse(modelId="openai/mock", messages=SAID, guardrailConfig=guardrail)
    body = json.dumps({"prompt": "\n\nHuman: hi\n\nAssistant:", "max_tokens_to_sample": 9})
    with pytest.raises(ClientError, match="ValidationException.*'prompt'"):
        bedrock.invoke_model(modelId="anthropic/mock", body=body)
