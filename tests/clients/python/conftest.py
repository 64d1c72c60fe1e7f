"""What the suites share: the unchanged client, pointed at AIPROXY_BASE_URL."""

import json
import os
import subprocess
import time
import uuid

import anthropic
import httpx
import openai
import pytest


def base_url() -> str:
    """Base URL with its version, such as http://127.0.0.1:8000/v1."""
    return os.environ["AIPROXY_BASE_URL"]


def logs(*arguments):
    """What `aiproxy logs` prints, an object a line."""
    printed = subprocess.run([os.environ["AIPROXY_LOGS"], *arguments], check=True, capture_output=True, text=True)
    return [json.loads(line) for line in printed.stdout.splitlines()]


def rows_of(user, count):
    """Rows of an end user, oldest first, as soon as there are so many: they reach SQL moments after their answers."""
    deadline = time.monotonic() + 10
    while len(rows := logs("--user", user)) < count:
        assert time.monotonic() < deadline, f"{len(rows)} rows of {count}"
        time.sleep(0.02)
    return rows[::-1]


def wait_until(condition):
    """Repeats a check until it holds; what it waits for happens within moments."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def open_streams():
    """Streams that the upstream has not ended yet."""
    return httpx.get(os.environ["AIPROXY_MOCK_URL"] + "/__mock/stats").json()["open_streams"]


@pytest.fixture
def user():
    """An end user that no other test has."""
    return f"client-tests-{uuid.uuid4()}"


@pytest.fixture
def client():
    with openai.OpenAI(
        base_url=base_url(),
        api_key="sk-client-tests",
        max_retries=0,
        timeout=20,
        default_headers={"x-test-id": str(uuid.uuid4())},
    ) as client:
        yield client


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


@pytest.fixture
def claude():
    with anthropic.Anthropic(
        base_url=base_url().removesuffix("/v1"),
        api_key="sk-ant-client-tests",
        max_retries=0,
        timeout=20,
        default_headers={"x-test-id": str(uuid.uuid4())},
    ) as client:
        yield client


@pytest.fixture
def async_client():
    return openai.AsyncOpenAI(
        base_url=base_url(), api_key="sk-client-tests", max_retries=0, timeout=20
    )


@pytest.fixture
def messages():
    return [{"role": "user", "content": "say something"}]
