use super::super::ocf;
use super::*;

const OPENAI: &str = include_str!("../../../tests/fixtures/openai_chat/models.json");
const ANTHROPIC: &str = include_str!("../../../tests/fixtures/anthropic/models.json");
const GEMINI: &str = include_str!("../../../tests/fixtures/gemini/models.json");
const DEPLOYMENTS: &str = include_str!("../../../tests/fixtures/azure/deployments.json");
const AZURE_MODELS: &str = include_str!("../../../tests/fixtures/azure/models.json");
const ARGO: &str = include_str!("../../../tests/fixtures/argo/models.json");
const ASKSAGE: &str = include_str!("../../../tests/fixtures/asksage/models.json");
const TABLE: &str = include_str!("../../../tests/fixtures/ocf/table.json");

/// Every reader.
const READERS: [Read; 7] = [openai, anthropic, gemini, azure, argo, asksage, ocf::found];

/// What a list must give: names, owners, times; and the next page.
#[track_caller]
fn check(
    read: Read,
    body: &str,
    expected: &[(&str, Option<&str>, Option<i64>)],
    next: Option<&str>,
) {
    let page = read(body.as_bytes()).expect(body);
    let models: Vec<_> = page
        .models
        .iter()
        .map(|model| (&*model.id, model.owned_by.as_deref(), model.created_s))
        .collect();
    assert_eq!(models, expected, "{body}");
    assert_eq!(page.next.as_deref(), next, "{body}");
    assert!(page.models.iter().all(Found::is_sound), "{body}");
}

#[test]
fn openais_list_and_its_likes() {
    let expected = [
        ("gpt-4o-mini", Some("system"), Some(1_721_172_741)),
        ("ft:gpt-4o-mini:acme::8x", Some("acme"), None),
        ("no-object", None, None),
        ("Qwen/Qwen3-8B", Some("vllm"), Some(1_686_935_002)),
        ("text-time", None, Some(1_686_935_002)),
        ("dated", None, Some(1_739_923_200)),
        ("bare-name", None, None),
    ];
    check(openai, OPENAI, &expected, None);
    let a = [("a", None, None)];
    check(openai, r#"[{"id":"a"}]"#, &a, None);
    check(openai, "\n [\"a\"] ", &a, None);
    check(openai, r#"{"error":null,"data":[{"id":"a"}]}"#, &a, None);
    check(openai, r#"{"data":[]}"#, &[], None);
}

#[test]
fn what_else_is_in_an_entry_is_passed_over() {
    let numbers = vec!["0"; 100_000].join(",");
    let entry = format!(r#"{{"more":[{numbers}],"id":"a","created":[1],"owned_by":{{}}}}"#);
    check(openai, &format!("[{entry}]"), &[("a", None, None)], None);
    let many = (0..MOST_MODELS).map(|n| format!("\"{n}\":0,"));
    let too_many = format!(r#"[{{{}"id":"a"}},"b"]"#, many.collect::<String>());
    check(openai, &too_many, &[("b", None, None)], None);
    let long = format!(r#"{{"error":{{"code":"word","more":[{numbers}]}}}}"#);
    let error = openai(long.as_bytes()).expect_err("an error");
    assert_eq!(error, ListError::Reported(String::new()));
}

#[test]
fn a_key_that_is_sent_back_is_not_told() {
    for (word, secret, expected) in [
        (" (invalid_api_key)", "sk_secret", " (invalid_api_key)"),
        (" (bad_sk_secret)", "sk_secret", ""),
    ] {
        let error = ListError::Reported(word.to_owned());
        let secrets = ["other", secret].into_iter();
        let expected = ListError::Reported(expected.to_owned());
        assert_eq!(error.without(secrets), expected, "{word}");
    }
}

#[test]
fn lists_in_pages_say_what_follows() {
    let expected = [
        ("claude-opus-4-20250514", None, Some(1_747_872_000)),
        ("claude-3-7-sonnet-20250219", None, Some(1_740_355_200)),
    ];
    check(
        anthropic,
        ANTHROPIC,
        &expected,
        Some("claude-3-7-sonnet-20250219"),
    );
    let last = ANTHROPIC.replace("\"has_more\":true", "\"has_more\":false");
    check(anthropic, &last, &expected, None);
    let expected = [
        "gemini-2.5-flash",
        "text-embedding-004",
        "tunedModels/mine-1",
    ];
    let expected = expected.map(|id| (id, None, None));
    check(gemini, GEMINI, &expected, Some("ChFtb2RlbHMvZ2Vt"));
    let last = GEMINI.replace("ChFtb2RlbHMvZ2Vt", "");
    check(gemini, &last, &expected, None);
}

#[test]
fn lists_of_their_own_shape() {
    let owner = Some("organization-owner");
    check(
        azure,
        DEPLOYMENTS,
        &[
            ("my-4o", owner, Some(1_716_825_600)),
            ("vectors", None, None),
        ],
        None,
    );
    check(
        azure,
        AZURE_MODELS,
        &[("gpt-4o-2024-08-06", None, Some(1_722_902_400))],
        None,
    );
    check(
        argo,
        ARGO,
        &[
            ("argo:gpt-3.5-turbo", Some("argo"), None),
            ("argo:gpt-4o", Some("openai"), Some(1_715_367_049)),
        ],
        None,
    );
    check(
        asksage,
        ASKSAGE,
        &[
            ("gpt-4.1-gov", owner, None),
            ("aws-bedrock-claude-45-sonnet-gov", owner, None),
            ("o3", Some("asksage"), Some(1_700_000_000)),
        ],
        None,
    );
    let ocf_owner = Some("ocf");
    check(
        ocf::found,
        TABLE,
        &[
            ("Qwen/Qwen2.5-7B-Instruct-1M", ocf_owner, None),
            ("Qwen/Qwen3-8B", ocf_owner, None),
        ],
        None,
    );
}

#[test]
fn what_is_no_list_is_told_by_every_reader() {
    for (body, expected) in [
        ("", "the answer is empty, not"),
        (" \n", "the answer is empty, not"),
        ("<!doctype html><html>", "the answer is an HTML page, not"),
        ("ERROR: no peers", "the answer is a text, not"),
        ("null", "the answer is a text, not"),
        ("\u{feff}{}", "the answer is a text, not"),
        (r#"{"data":[{"id":"a"}"#, "the answer is broken JSON, not"),
        ("[1,2", "the answer is broken JSON, not"),
    ] {
        for read in READERS {
            let error = read(body.as_bytes()).expect_err(body).to_string();
            assert!(error.starts_with(expected), "{body}: {error}");
        }
    }
}

#[test]
fn errors_in_the_place_of_a_list_are_told_by_their_word_alone() {
    let shape = "the answer is JSON of another shape, not a list of models";
    let reports = "the answer reports an error";
    let named = format!("{reports} (invalid_api_key)");
    for (read, body, expected) in [
        (
            openai as Read,
            r#"{"error":{"message":"key sk-secret","code":"invalid_api_key"}}"#,
            &*named,
        ),
        (
            openai,
            r#"{"error":{"message":"m","code":"sk-secret"}}"#,
            reports,
        ),
        (openai, r#"{"error":"sk-secret"}"#, reports),
        (
            openai,
            r#"{"object":"error","message":"sk-secret","code":"invalid_api_key"}"#,
            &*named,
        ),
        (
            anthropic,
            r#"{"type":"error","error":{"type":"invalid_api_key","message":"m"}}"#,
            &*named,
        ),
        (
            gemini,
            r#"{"error":{"code":401,"message":"m"}}"#,
            "the answer reports an error (401)",
        ),
        (asksage, r#"{"status":400,"response":"sk-secret"}"#, reports),
        (openai, "{}", shape),
        (openai, r#"{"data":{"id":"a"}}"#, shape),
        (gemini, r#"{"data":[]}"#, shape),
        (argo, r#"{"models":[]}"#, shape),
        (ocf::found, "[]", shape),
        (anthropic, "[]", shape),
    ] {
        let error = read(body.as_bytes()).expect_err(body).to_string();
        assert!(
            error.starts_with(expected) && !error.contains("secret"),
            "{body}: {error}"
        );
    }
}

#[test]
fn names_are_bounded_and_lists_end() {
    let fits = "x".repeat(NAME_BYTES);
    let long = format!("{fits}x");
    let body = format!(
        r#"{{"data":[{{"id":"{long}"}},{{"id":"a\nb"}},{{"id":"\u001b[2J"}},{{"id":"  "}},{{"id":"ok","owned_by":"a\tb"}},{{"id":"{fits}"}}]}}"#,
    );
    check(
        openai,
        &body,
        &[("ok", None, None), (&fits, None, None)],
        None,
    );
    let entries = |count: usize| vec!["{\"id\":\"m\"}"; count].join(",");
    let most = format!("[{}]", entries(MOST_MODELS));
    assert_eq!(
        openai(most.as_bytes()).map(|page| page.models.len()),
        Ok(MOST_MODELS)
    );
    let more = entries(MOST_MODELS + 1);
    for (read, body) in [
        (openai as Read, format!("[{more}]")),
        (anthropic, format!(r#"{{"data":[{more}]}}"#)),
        (gemini, format!(r#"{{"models":[{more}]}}"#)),
    ] {
        assert_eq!(read(body.as_bytes()), Err(ListError::TooMany));
    }
    let peers: Vec<String> = (0..=MOST_MODELS).map(|n| format!("\"{n}\":0")).collect();
    let table = format!("{{{}}}", peers.join(","));
    assert_eq!(ocf::found(table.as_bytes()), Err(ListError::TooMany));
}
