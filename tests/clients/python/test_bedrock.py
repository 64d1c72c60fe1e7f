"""AWS's own client of Bedrock, unchanged but for its endpoint. Passes against the mock and through the proxy alike,
but for what only the proxy does."""

import json
import os

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import ClientError, EventStreamError
from conftest import base_url, rows_of

MESSAGES = [{"role": "user", "content": [{"text": "say something"}]}]
CLAUDE = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "say something"}],
}
PROMPT = {"prompt": "\n\nHuman: say something\n\nAssistant:", "max_tokens_to_sample": 64}
TOOLS = {
    "tools": [
        {
            "toolSpec": {
                "name": name,
                "inputSchema": {"json": {"type": "object", "properties": {"city": {"type": "string"}}}},
            }
        }
        for name in ("get_weather", "get_time")
    ]
}
CALLS = [("get_weather", {"city": "Paris"}), ("get_time", {"city": "Oslo"})]


def made(user=None):
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=base_url().removesuffix("/v1"),
        region_name="us-west-2",
        aws_access_key_id="AKIADUMMY",
        aws_secret_access_key="dummy",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=20),
    )
    if user:
        # Not signed: a proxy may add headers.
        named = {"x-aiproxy-user": user}
        client.meta.events.register("before-send", lambda request, **_: request.headers.update(named))
    return client


@pytest.fixture
def bedrock(user):
    return made(user)


def text(answer):
    return "".join(block.get("text", "") for block in answer["output"]["message"]["content"])


def deltas(events):
    return [event["contentBlockDelta"] for event in events if "contentBlockDelta" in event]


# === converse ===


def test_converse(bedrock, user):
    answer = bedrock.converse(modelId="mock", messages=MESSAGES, inferenceConfig={"maxTokens": 64})
    assert text(answer).startswith("the quick brown fox") and answer["stopReason"] == "end_turn"
    usage = answer["usage"]
    assert (usage["inputTokens"], usage["outputTokens"], usage["cacheReadInputTokens"]) == (21, 10, 4)
    assert answer["ResponseMetadata"]["RequestId"].startswith("req_mock_")
    [row] = rows_of(user, 1)
    facts = (row["endpoint"], row["provider"], row["outcome"], row["prompt_tokens"], row["completion_tokens"])
    assert facts == ("bedrock.converse", "bedrock", "ok", 25, 10)
    assert row["response_text"] == text(answer)


@pytest.mark.parametrize("model", ["mock-s50", "mock-s50-d2", "mock-s50-utf8", "mock-s5-bytes1", "mock-s50-burst"])
def test_converse_stream(bedrock, model):
    events = list(bedrock.converse_stream(modelId=model, messages=MESSAGES)["stream"])
    numbers = [delta["delta"]["text"].split(" ")[0] for delta in deltas(events)]
    assert numbers == [f"w{number:06}" for number in range(len(numbers))] and len(numbers) >= 5
    assert list(events[0]) == ["messageStart"] and events[-2]["messageStop"]["stopReason"] == "end_turn"
    assert events[-1]["metadata"]["usage"]["outputTokens"] == len(numbers)


def test_converse_tools(bedrock, user):
    answer = bedrock.converse(modelId="mock-tools", messages=MESSAGES, toolConfig=TOOLS)
    calls = [block["toolUse"] for block in answer["output"]["message"]["content"]]
    assert [(call["name"], call["input"]) for call in calls] == CALLS
    assert answer["stopReason"] == "tool_use"
    results = [{"toolResult": {"toolUseId": call["toolUseId"], "content": [{"text": "mild"}]}} for call in calls]
    history = [*MESSAGES, answer["output"]["message"], {"role": "user", "content": results}]
    again = bedrock.converse(modelId="mock", messages=history, toolConfig=TOOLS)
    assert text(again).startswith("the quick")
    first, _ = rows_of(user, 2)
    calls = [call["function"] for call in first["tool_calls"]]
    assert [(call["name"], json.loads(call["arguments"])) for call in calls] == CALLS


def test_converse_tools_stream(bedrock):
    events = list(bedrock.converse_stream(modelId="mock-tools", messages=MESSAGES, toolConfig=TOOLS)["stream"])
    names, inputs = {}, {}
    for event in events:
        if start := event.get("contentBlockStart"):
            names[start["contentBlockIndex"]] = start["start"]["toolUse"]["name"]
        if delta := event.get("contentBlockDelta"):
            index = delta["contentBlockIndex"]
            inputs[index] = inputs.get(index, "") + delta["delta"]["toolUse"]["input"]
    assert [(names[index], json.loads(inputs[index])) for index in sorted(names)] == CALLS


def test_vision(bedrock):
    image = {"image": {"format": "png", "source": {"bytes": b"\x89PNG" * 100}}}
    answer = bedrock.converse(
        modelId="mock-vision", messages=[{"role": "user", "content": [{"text": "what is it?"}, image]}]
    )
    assert text(answer) == "images: 1, url bytes: [536]"


@pytest.mark.parametrize(
    "model",
    ["anthropic.mock-v2:1", "arn:aws:bedrock:us-west-2:123456789012:inference-profile/mock"],
)
def test_names_with_colons_and_slashes(bedrock, user, model):
    assert bedrock.converse(modelId=model, messages=MESSAGES)["stopReason"] == "end_turn"
    assert rows_of(user, 1)[0]["requested_model"] == model


# === invoke ===


def invoked(bedrock, model, body):
    answer = bedrock.invoke_model(modelId=model, body=json.dumps(body))
    return answer, json.loads(answer["body"].read())


def chunks(answer):
    return [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]


def test_invoke_messages(bedrock, user):
    answer, said = invoked(bedrock, "mock", CLAUDE)
    assert answer["contentType"] == "application/json"
    assert said["content"][0]["text"].startswith("the quick brown fox") and said["stop_reason"] == "end_turn"
    [row] = rows_of(user, 1)
    assert (row["endpoint"], row["prompt_tokens"], row["completion_tokens"]) == ("bedrock.invoke", 25, 10)


def test_invoke_prompt(bedrock, user):
    answer, said = invoked(bedrock, "anthropic.claude-v2:1", PROMPT)
    assert said["stop_reason"] == "stop_sequence" and said["completion"].startswith("w000000 ")
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-bedrock-input-token-count"] == "21"
    [row] = rows_of(user, 1)
    assert (row["prompt_tokens"], row["completion_tokens"], row["response_text"]) == (21, 10, said["completion"])


def test_invoke_stream(bedrock, user):
    body = json.dumps(CLAUDE)
    events = chunks(bedrock.invoke_model_with_response_stream(modelId="mock-s20-utf8", body=body))
    assert [events[0]["type"], events[-1]["type"]] == ["message_start", "message_stop"]
    assert events[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 20
    texts = [event["delta"]["text"] for event in events if event["type"] == "content_block_delta"]
    assert len(texts) == 20
    [row] = rows_of(user, 1)
    assert (row["stream"], row["completion_tokens"], row["response_text"]) == (True, 20, "".join(texts))


def test_invoke_prompt_stream(bedrock, user):
    body = json.dumps(PROMPT)
    events = chunks(bedrock.invoke_model_with_response_stream(modelId="mock-s5", body=body))
    assert len(events) == 6 and events[-1]["stop_reason"] == "stop_sequence"
    [row] = rows_of(user, 1)
    assert (row["completion_tokens"], row["usage_source"]) == (5, "upstream")


# === errors ===


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ValidationException"),
        (404, "ResourceNotFoundException"),
        (408, "ModelTimeoutException"),
        (429, "ThrottlingException"),
        (500, "InternalServerException"),
        (503, "ServiceUnavailableException"),
    ],
)
@pytest.mark.parametrize("call", ["converse", "converse_stream", "invoke_model", "invoke_model_with_response_stream"])
def test_errors(bedrock, status, code, call):
    asked = {"body": json.dumps(CLAUDE)} if "invoke" in call else {"messages": MESSAGES}
    with pytest.raises(ClientError) as raised:
        getattr(bedrock, call)(modelId=f"mock-err-{status}", **asked)
    error = raised.value.response
    assert error["Error"]["Code"] == code and f"mock error {status}" in error["Error"]["Message"]
    assert error["ResponseMetadata"]["HTTPStatusCode"] == status


def test_unknown_parts_of_a_name_are_the_mocks_error(bedrock):
    with pytest.raises(bedrock.exceptions.ResourceNotFoundException):
        bedrock.converse(modelId="mock-nonsense", messages=MESSAGES)


@pytest.mark.parametrize("prompt", [False, True])
def test_an_exception_in_a_stream(bedrock, user, prompt):
    if prompt:
        answer = bedrock.invoke_model_with_response_stream(modelId="mock-s10-errevent", body=json.dumps(PROMPT))
        stream = answer["body"]
    else:
        stream = bedrock.converse_stream(modelId="mock-s10-errevent", messages=MESSAGES)["stream"]
    with pytest.raises(EventStreamError) as raised:
        list(stream)
    assert raised.value.response["Error"]["Code"] == "serviceUnavailableException"
    [row] = rows_of(user, 1)
    facts = (row["outcome"], row["error_type"], row["response_complete"])
    # On record an error has one name, in heads and in frames.
    assert facts == ("upstream_error", "ServiceUnavailableException", False)


@pytest.mark.parametrize("model", ["mock-s10-cut-5", "mock-s10-eof-5", "mock-s10-nodone"])
def test_a_stream_that_breaks_off_raises(bedrock, user, model):
    seen = []
    with pytest.raises(EventStreamError, match="serviceUnavailableException"):
        for event in bedrock.converse_stream(modelId=model, messages=MESSAGES)["stream"]:
            seen.append(event)
    assert 5 <= len(deltas(seen)) and "messageStop" not in seen[-1]
    assert rows_of(user, 1)[0]["outcome"] == "upstream_truncated"


def test_a_damaged_frame_is_left_to_the_client(bedrock, user):
    with pytest.raises(ChecksumMismatch):
        list(bedrock.converse_stream(modelId="mock-badcrc", messages=MESSAGES)["stream"])
    [row] = rows_of(user, 1)
    assert (row["outcome"], row["response_complete"]) == ("upstream_error", False)


# === signatures ===


def test_requests_are_signed_as_awss_own_client_signs(bedrock):
    """The mock says which headers came; AWS's own code signs the same request at the same moment."""
    sent = {}
    bedrock.meta.events.register("before-send", lambda request, **_: sent.update(body=request.body, url=request.url))
    answer = bedrock.converse(modelId="arn:aws:x:1/mock-echo", messages=MESSAGES)
    seen = json.loads(text(answer))
    path = sent["url"].split("/", 3)[3]
    request = AWSRequest(
        method="POST",
        url=f"{os.environ['AIPROXY_MOCK_URL']}/{path}",
        data=sent["body"],
        headers={"host": seen["host"], "content-type": seen["content-type"], "x-amz-date": seen["x-amz-date"]},
    )
    request.context["timestamp"] = seen["x-amz-date"]
    auth = SigV4Auth(Credentials("AKIAPROXY0123", "proxy-secret-of-tests"), "bedrock", "eu-central-1")
    to_sign = auth.string_to_sign(request, auth.canonical_request(request))
    assert seen["authorization"].endswith(f"Signature={auth.signature(to_sign, request)}")
    assert "Credential=AKIAPROXY0123/" in seen["authorization"]
    assert "AKIADUMMY" not in json.dumps(seen)


def test_count_tokens_passes(bedrock, user):
    answer = bedrock.count_tokens(modelId="mock", input={"converse": {"messages": MESSAGES}})
    assert answer["inputTokens"] == 21
    assert rows_of(user, 1)[0]["endpoint"] == "passthrough"
