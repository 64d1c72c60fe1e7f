//! uezo/aiproxy's clients: both generations of its paths, its variables and flags, its examples of filters, its table.
//! Over 400 lines: one server with its table and filters is what all examples are called on.

use std::net::SocketAddr;
use std::path::Path;

use aiproxy::cli::mock::{Mock, MockHandle};
use aiproxy::config::DatabaseUrl;
use aiproxy::database::Database;
use serde_json::{Value, json};

use super::{post, post_with, records_of, said};
use crate::cli::folder_with;
use crate::cli::serve::start;
use crate::support::db::{block_on, script, texts, with_database};
use crate::support::gateway::{get, wait_until};
use crate::support::raw_client::{RawResponse, exchange};

/// Its README's filters.
const FILTERS: &str = "\
filters:
  - { kind: banned_users, users: [uezo], message: \"you can't use this service\" }
  - { kind: require_user, message: \"user is required\", when: { models: [\"gpt-3.5*\"] } }
  - { kind: model_override, model: gpt-3.5-turbo, unless: [\"gpt-3.5*\"], when: { models: [\"gpt-*\"] } }
  - { kind: canned_answer, text: \"from a filter\", when: { models: [\"canned*\"] } }
";

/// Its table with one of its rows.
const ITS_TABLE: &str = "
CREATE TABLE accesslog (id INTEGER PRIMARY KEY AUTOINCREMENT, request_id VARCHAR, created_at DATETIME, direction VARCHAR,
  status_code INTEGER, content VARCHAR, function_call VARCHAR, tool_calls VARCHAR, raw_body VARCHAR, raw_headers VARCHAR,
  model VARCHAR, prompt_tokens INTEGER, completion_tokens INTEGER, request_time FLOAT, request_time_api FLOAT);
INSERT INTO accesslog (request_id, created_at, direction, content) VALUES ('old', '2024-05-01 10:00:00', 'request', 'before');
";

const JSON: &str = "content-type: application/json\r\n";
/// The headers of Anthropic's client, with a key that is none.
const ANTHROPIC: &str =
    "content-type: application/json\r\nx-api-key: client\r\nanthropic-version: 2023-06-01\r\n";
/// The headers of Google's client.
const GOOGLE: &str = "content-type: application/json\r\nx-goog-api-key: client\r\n";
/// The headers of AWS's client, whose credentials may be anything.
const AWS: &str = "content-type: application/json\r\nauthorization: AWS4-HMAC-SHA256 Credential=dummy/20261130/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=00\r\n";

/// What a request holds, as its clients write it.
fn ask(model: &str, user: &str) -> Value {
    json!({ "model": model, "user": user, "messages": [{ "role": "user", "content": "hello!" }] })
}

fn claude2(data: SocketAddr, path: &str) -> RawResponse {
    let body = json!({ "prompt": "Human: hello!\nAssistant: ", "max_tokens_to_sample": 100 });
    post_with(data, path, AWS, &body)
}

/// Runs `examples` against the program with its filters, its table, these words and keys.
fn served(
    words: &str,
    keys: &[(&str, &str)],
    examples: impl FnOnce(SocketAddr, &MockHandle, &Path),
) {
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).expect("a mock");
    let folder = folder_with(FILTERS);
    block_on(async {
        let url = DatabaseUrl::parse(&records_of(folder.path()));
        let database = Database::open(&url.expect("a URL"))
            .await
            .expect("a database");
        script(&database, ITS_TABLE).await;
        database.close().await;
    });
    let root = format!("http://{}", mock.addr());
    let openai = format!("{root}/v1");
    let urls = [
        ("OPENAI_BASE_URL", &*openai),
        ("ANTHROPIC_BASE_URL", &root),
        ("GEMINI_BASE_URL", &root),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", &root),
        ("AWS_ACCESS_KEY_ID", "AKIAOURS0123"),
        (
            "AWS_SECRET_ACCESS_KEY",
            "canary/Secret+0123456789abcdefABCDEF",
        ),
        ("AWS_REGION", "us-east-1"),
    ];
    let variables: Vec<(&str, &str)> = urls.iter().chain(keys).copied().collect();
    let words = format!("--host 127.0.0.1 --port 0 --admin-port 0 {words}");
    let (_server, data) = start(folder.path(), &words, &variables);
    examples(data, &mock, folder.path());
}

/// The path of the last request, and this header of it.
fn sent(mock: &MockHandle, header: &str) -> (String, Option<String>) {
    let sent = mock.requests().pop().expect("a request");
    (
        sent.path().to_owned(),
        sent.header(header).map(str::to_owned),
    )
}

/// The first column of what its table gives.
fn read(folder: &Path, sql: &str) -> Vec<String> {
    with_database(&records_of(folder), async |database| {
        texts(database, sql).await
    })
}

/// The rows of its table once these exchanges have theirs, in a few of the columns of its log viewer.
fn shown(folder: &Path, exchanges: usize) -> Vec<String> {
    let sql = "SELECT direction || ' ' || coalesce(status_code, '-') || ' ' || coalesce(model, '-') || ' ' || \
               coalesce(prompt_tokens, '-') || ' ' || coalesce(content, '') \
               FROM accesslog WHERE request_id <> 'old' ORDER BY id";
    let mut shown = Vec::new();
    wait_until("the rows are there", || {
        shown = read(folder, sql);
        2 * exchanges <= shown.len()
    });
    assert_eq!(shown.len(), 2 * exchanges, "{shown:#?}");
    shown
}

#[test]
fn aiproxy_readme_examples_work() {
    let keys = [("OPENAI_API_KEY", "sk-canary-openai")];
    served("", &keys, |data, mock, folder| {
        // Its first generation: no prefix, no version.
        let answer = post(data, "/chat/completions", &ask("gpt-3.5-turbo", "u1"));
        assert!(said(&answer).is_string(), "{}", answer.text());
        let id = answer
            .header("x-aiproxy-request-id")
            .expect("an id")
            .to_owned();
        assert_eq!(id.len(), 36, "{id}");
        let (path, key) = sent(mock, "authorization");
        assert_eq!(
            (&*path, key.as_deref()),
            ("/v1/chat/completions", Some("Bearer sk-canary-openai"))
        );

        let mut stream = ask("gpt-3.5-turbo", "u1");
        stream["stream"] = json!(true);
        let events = post(data, "/chat/completions", &stream);
        assert!(
            events.text().ends_with("data: [DONE]\n\n"),
            "{}",
            events.text()
        );
        assert!(
            !events.text().contains("\"choices\":[]"),
            "usage that nobody asked for"
        );

        // Its filters.
        for (asked, filtered) in [
            (ask("gpt-4", "uezo"), "you can't use this service"),
            (
                json!({ "model": "gpt-3.5-turbo", "messages": [] }),
                "user is required",
            ),
        ] {
            let before = mock.requests().len();
            let answer = post(data, "/chat/completions", &asked);
            assert_eq!((answer.status, said(&answer)), (200, json!(filtered)));
            assert_eq!(answer.json()["model"], "request_filter");
            assert_eq!(answer.json()["usage"]["total_tokens"], 0);
            let mut asked = asked;
            asked["stream"] = json!(true);
            let answer = post(data, "/chat/completions", &asked);
            assert!(answer.text().contains(filtered), "{}", answer.text());
            assert!(
                answer.text().ends_with("data: [DONE]\n\n"),
                "{}",
                answer.text()
            );
            assert_eq!(mock.requests().len(), before, "nobody was asked");
        }
        assert_eq!(
            post(data, "/chat/completions", &ask("gpt-4", "u1")).json()["model"],
            "gpt-3.5-turbo"
        );
        let of_it = format!(
            "SELECT content FROM accesslog WHERE request_id = '{id}' AND direction = 'response'"
        );
        wait_until("it is on record", || !read(folder, &of_it).is_empty());
        let replay = format!("content-type: application/json\r\nx-aiproxy-replay: {id}\r\n");
        let again = post_with(
            data,
            "/chat/completions",
            &replay,
            &ask("gpt-3.5-turbo", "u1"),
        );
        assert_eq!((again.status, again.body), (200, answer.body));

        // Claude 2, whole and as a stream.
        let whole = claude2(data, "/model/anthropic.claude-v2/invoke");
        assert!(whole.json()["completion"].is_string(), "{}", whole.text());
        let (path, signed) = sent(mock, "authorization");
        assert_eq!(path, "/model/anthropic.claude-v2/invoke");
        assert!(signed.expect("signed").contains("Credential=AKIAOURS0123/"));
        let frames = claude2(
            data,
            "/model/anthropic.claude-v2/invoke-with-response-stream",
        );
        assert_eq!(
            frames.header("content-type"),
            Some("application/vnd.amazon.eventstream")
        );

        // An error is the upstream's, with an id and a row.
        let answer = post(data, "/chat/completions", &ask("mock-err-404", "u1"));
        assert_eq!(
            (
                answer.status,
                answer.header("x-aiproxy-request-id").is_some()
            ),
            (404, true)
        );

        // Its table, and what was in it before.
        let old = "SELECT content FROM accesslog WHERE request_id = 'old'";
        assert_eq!(read(folder, old), ["before"]);
        let rows = shown(folder, 11);
        for expected in [
            "request - gpt-3.5-turbo - hello!",
            "response 200 gpt-3.5-turbo 21 the quick brown fox",
            "request - gpt-4 - hello!",
            "response 200 request_filter - you can't use this service",
            "response 200 request_filter - user is required",
            "request - anthropic.claude-v2 - hello!",
            "response 200 anthropic.claude-v2 21 w000000 the quick",
            "error 404 error_handler - ",
        ] {
            assert!(
                rows.iter().any(|row| row.starts_with(expected)),
                "{expected}: {rows:#?}"
            );
        }
    });
}

#[test]
fn aiproxy_prefixes_and_flags_work() {
    let words = "--openai_api_key sk-canary-o --anthropic_api_key sk-canary-a --google_api_key canary-g-0123456789 \
                 --connection_str sqlite:///aiproxy.db";
    served(words, &[], |data, mock, folder| {
        let gemini = json!({ "contents": [{ "role": "user", "parts": [{ "text": "hello!" }] }] });
        let claude = json!({ "model": "claude-3-haiku-20240307", "max_tokens": 100,
            "messages": [{ "role": "user", "content": [{ "type": "text", "text": "hello!" }] }] });
        let bedrock = json!({ "anthropic_version": "bedrock-2023-05-31", "max_tokens": 100, "messages": claude["messages"] });
        let flash = "/googleaistudio/v1beta/models/gemini-1.5-flash";
        let haiku = "/bedrock-claude/model/anthropic.claude-3-haiku-20240307-v1%3A0";
        let cases = [
            (
                "/openai/chat/completions",
                JSON,
                ask("gpt-3.5-turbo", "u1"),
                "/v1/chat/completions",
                "authorization",
                "Bearer sk-canary-o",
            ),
            (
                "/anthropic/v1/messages",
                ANTHROPIC,
                claude,
                "/v1/messages",
                "x-api-key",
                "sk-canary-a",
            ),
            (
                &format!("{flash}:generateContent"),
                GOOGLE,
                gemini.clone(),
                "/v1beta/models/gemini-1.5-flash:generateContent",
                "x-goog-api-key",
                "canary-g-0123456789",
            ),
            (
                &format!("{flash}:streamGenerateContent"),
                GOOGLE,
                gemini.clone(),
                "/v1beta/models/gemini-1.5-flash:streamGenerateContent",
                "x-goog-api-key",
                "canary-g-0123456789",
            ),
            (
                &format!("{haiku}/invoke"),
                AWS,
                bedrock.clone(),
                "/model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke",
                "content-type",
                "application/json",
            ),
            (
                &format!("{haiku}/invoke-with-response-stream"),
                AWS,
                bedrock,
                "/model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke-with-response-stream",
                "content-type",
                "application/json",
            ),
            // Every other path of a service.
            (
                "/openai/embeddings",
                JSON,
                json!({ "model": "text-embedding-3-small", "input": "a" }),
                "/v1/embeddings",
                "authorization",
                "Bearer sk-canary-o",
            ),
            (
                "/openai/anything/else",
                JSON,
                json!({ "a": 1 }),
                "/v1/anything/else",
                "authorization",
                "Bearer sk-canary-o",
            ),
            (
                "/anthropic/v1/anything",
                ANTHROPIC,
                json!({ "a": 1 }),
                "/v1/anything",
                "x-api-key",
                "sk-canary-a",
            ),
            (
                "/googleaistudio/v1beta/anything",
                GOOGLE,
                json!({ "a": 1 }),
                "/v1beta/anything",
                "x-goog-api-key",
                "canary-g-0123456789",
            ),
        ];
        for (path, headers, body, asked, header, value) in &cases {
            let answer = post_with(data, path, headers, body);
            assert_eq!(
                answer.status,
                200,
                "{path}: {:?}",
                answer.body.escape_ascii().to_string()
            );
            assert!(answer.header("x-aiproxy-request-id").is_some(), "{path}");
            assert_eq!(
                sent(mock, header),
                ((*asked).to_owned(), Some((*value).to_owned())),
                "{path}"
            );
        }
        for path in [
            "/openai/models",
            "/anthropic/v1/models",
            "/googleaistudio/v1beta/models",
        ] {
            assert_eq!(exchange(data, get(path)).status, 200, "{path}");
        }

        // A filter answers each service in its own form.
        let canned = json!({ "model": "canned", "max_tokens": 9, "messages": [{ "role": "user", "content": "hello!" }] });
        let before = mock.requests().len();
        for (path, headers, body, pointer) in [
            (
                "/openai/chat/completions",
                JSON,
                &canned,
                "/choices/0/message/content",
            ),
            (
                "/anthropic/v1/messages",
                ANTHROPIC,
                &canned,
                "/content/0/text",
            ),
            (
                "/googleaistudio/v1beta/models/canned:generateContent",
                GOOGLE,
                &gemini,
                "/candidates/0/content/parts/0/text",
            ),
            (
                "/bedrock-claude/model/canned/invoke",
                AWS,
                &canned,
                "/content/0/text",
            ),
        ] {
            let answer = post_with(data, path, headers, body);
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert_eq!(
                answer.json().pointer(pointer),
                Some(&json!("from a filter")),
                "{path}: {}",
                answer.text()
            );
        }
        assert_eq!(mock.requests().len(), before, "nobody was asked");
        let claude2 = claude2(data, "/bedrock-claude/model/canned/invoke");
        assert_eq!(claude2.json()["completion"], "from a filter");

        let rows = shown(folder, 18);
        let greeted = rows
            .iter()
            .filter(|row| row.starts_with("request") && row.ends_with(" hello!"));
        assert!(11 <= greeted.count(), "{rows:#?}");
        assert!(
            !rows.iter().any(|row| row.starts_with("error")),
            "{rows:#?}"
        );
        let secrets = "SELECT raw_headers FROM accesslog WHERE raw_headers LIKE '%canary%'";
        assert_eq!(read(folder, secrets), Vec::<String>::new());
    });
}

#[test]
fn aiproxy_passes_a_clients_own_key_on() {
    served("", &[], |data, mock, _| {
        let answer = post(
            data,
            "/openai/chat/completions",
            &ask("gpt-3.5-turbo", "u1"),
        );
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            sent(mock, "authorization").1.as_deref(),
            Some("Bearer test-token")
        );
        let claude =
            json!({ "model": "claude-3-haiku-20240307", "max_tokens": 100, "messages": [] });
        post_with(data, "/anthropic/v1/messages", ANTHROPIC, &claude);
        assert_eq!(
            sent(mock, "x-api-key").1.as_deref(),
            Some("client"),
            "never nobody's"
        );
    });
}
