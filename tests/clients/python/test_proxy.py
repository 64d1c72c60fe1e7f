"""What a client sees of the proxy itself. Needs AIPROXY_ADMIN_URL and AIPROXY_MOCK_URL beside the base URL."""

import os
import re
import uuid

import httpx
import openai
import pytest
from conftest import base_url, open_streams, wait_until

UUID_V7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture
def http():
    with httpx.Client(base_url=base_url() + "/", headers={"authorization": "Bearer sk-x"}) as http:
        yield http


def chat(http, model, **headers):
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    return http.post("chat/completions", json=body, headers=headers)


def chat_stream(http, model, **headers):
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    return http.post("chat/completions", json=body, headers=headers)


def metrics():
    """Metrics without labels, by name."""
    text = httpx.get(os.environ["AIPROXY_ADMIN_URL"] + "/metrics").text
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    sums = {}
    for name, value in lines:
        sums[name.split("{")[0]] = sums.get(name.split("{")[0], 0) + float(value)
    return sums


# === what is added ===


@pytest.mark.parametrize("model", ["mock", "mock-err-400", "mock-err-500", "mock-html", "mock-nonsense"])
def test_every_answer_has_its_id(http, model):
    first, second = (chat(http, model).headers["x-aiproxy-request-id"] for _ in range(2))
    assert UUID_V7.fullmatch(first) and UUID_V7.fullmatch(second) and first != second


def test_timing_is_told(http):
    assert "dur=" in chat(http, "mock").headers["server-timing"]


def test_upstream_headers_pass(http):
    headers = chat(http, "mock").headers
    assert headers["x-request-id"].startswith("req_mock_")
    assert headers["openai-processing-ms"] == "1"


def test_own_headers_stay_here(http):
    echoed = chat(http, "mock-echo", **{"x-aiproxy-user": "ada", "x-other": "1"}).headers
    assert "x-echo-x-aiproxy-user" not in echoed and echoed["x-echo-x-other"] == "1"
    assert echoed["x-echo-accept-encoding"] == "identity"


def test_usage_is_asked_for_and_taken_out(http):
    answer = chat_stream(http, "mock-s3")
    assert "usage" not in answer.text.replace('"usage":null', "")
    last = httpx.get(os.environ["AIPROXY_MOCK_URL"] + "/__mock/last").json()[0]
    assert "include_usage" in last["body"]


# === our own errors ===


def test_body_that_is_no_json(http):
    answer = http.post("chat/completions", content=b"{", headers={"content-type": "application/json"})
    error = answer.json()
    assert answer.status_code == 400 and error["error"]["code"] == "invalid_json"
    assert error["request_id"] == answer.headers["x-aiproxy-request-id"]


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("mock-html", 502, "upstream_bad_content_type"),
        ("mock-redirect", 502, "upstream_redirect"),
        ("mock-hangup", 502, None),
        ("mock-reset", 502, None),
    ],
)
def test_upstream_failures(http, model, status, code):
    answer = chat(http, model)
    assert answer.status_code == status and answer.json()["error"]["type"] == "api_error"
    assert code in (None, answer.json()["error"]["code"])


@pytest.mark.parametrize(
    ("model", "code"), [("mock-s6-cut", "upstream_disconnected"), ("mock-s6-eof", "upstream_truncated")]
)
def test_cut_streams_are_errors(client, messages, model, code):
    stream = client.chat.completions.create(model=model, messages=messages, stream=True)
    seen = []
    with pytest.raises(openai.APIError) as raised:
        seen.extend(stream)
    assert raised.value.code == code and len(seen) == 4


# === repairs ===


@pytest.mark.parametrize("oddity", ["bom", "emptydata", "noblank", "nodone", "nodone-noblank"])
def test_streams_are_repaired(client, messages, oddity):
    plain = client.chat.completions.create(model="mock-s3", messages=messages, stream=True)
    odd = client.chat.completions.create(model=f"mock-s3-{oddity}", messages=messages, stream=True)
    texts = [[chunk.choices[0].delta.content for chunk in stream] for stream in (plain, odd)]
    assert len(texts[1]) == len(texts[0]) == 5


# === record and replay ===


def replayed(http, ask, first):
    """A replay; one of a row that is still on its way to SQL is asked for again."""
    answers = []

    def complete():
        answers.append(ask(http, "mock", **{"x-aiproxy-replay": first.headers["x-aiproxy-request-id"]}))
        return answers[-1].status_code != 409

    wait_until(complete)
    return answers[-1]


@pytest.mark.parametrize("ask", [chat, chat_stream])
def test_replay(http, ask):
    first = ask(http, "mock-s5-utf8")
    again = replayed(http, ask, first)
    assert again.content == first.content and again.status_code == 200
    assert again.headers["content-type"] == first.headers["content-type"]
    assert "x-aiproxy-replayed" in again.headers
    assert again.headers["x-aiproxy-request-id"] != first.headers["x-aiproxy-request-id"]


@pytest.mark.parametrize("unknown", [str(uuid.uuid4()), "nonsense"])
def test_replay_of_nothing(http, unknown):
    answer = chat(http, "mock", **{"x-aiproxy-replay": unknown})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "replay_not_found")


def test_nothing_is_lost(http):
    before = metrics()["aiproxy_log_accepted_total"]
    for model in ["mock", "mock-err-500", "mock-html", "mock-cut"]:
        try:
            chat(http, model)
        except httpx.RemoteProtocolError:
            assert model == "mock-cut"
    after = metrics()
    parts = ["open", "queued", "spooled", "stored_total", "dropped_total"]
    assert after["aiproxy_log_accepted_total"] == before + 4
    assert after["aiproxy_log_accepted_total"] == sum(after[f"aiproxy_log_{part}"] for part in parts)
    assert after["aiproxy_log_dropped_total"] == 0


@pytest.mark.parametrize("model", ["mock-s1000-d20", "mock-s4-stall"])
def test_leaving_ends_the_upstream_stream(client, messages, model):
    wait_until(lambda: open_streams() == 0)
    stream = client.chat.completions.create(model=model, messages=messages, stream=True)
    next(stream)
    assert open_streams() == 1
    stream.close()
    wait_until(lambda: open_streams() == 0)
