"""What the suites share: the unchanged client, pointed at AIPROXY_BASE_URL."""

import os
import uuid

import anthropic
import openai
import pytest


def base_url() -> str:
    """Base URL with its version, such as http://127.0.0.1:8000/v1."""
    return os.environ["AIPROXY_BASE_URL"]


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
