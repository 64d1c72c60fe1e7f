use std::time::Duration;

use serde::Deserialize;

use super::*;

/// A case of the suite that AWS publishes. Those that do not normalize paths are for S3, and folded header lines are
/// refused long before signing; both are left out.
#[derive(Deserialize)]
struct Case {
    name: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
    token: Option<String>,
    sign_body: bool,
    canonical: String,
    signature: String,
}

fn signer(token: Option<&str>, region: &str, service: &'static str) -> Signer {
    Signer::new(
        "AKIDEXAMPLE".to_owned(),
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
        token.map(Into::into),
        region.to_owned(),
        service,
    )
}

fn at() -> Timestamp {
    "2015-08-30T12:36:00Z".parse().expect("a time")
}

#[test]
fn signatures_are_those_of_the_published_suite() {
    let text = include_str!("../../../tests/fixtures/sigv4/published.json");
    let cases: Vec<Case> = serde_json::from_str(text).expect("the fixture");
    assert_eq!(cases.len(), 30);
    for case in &cases {
        let (path, query) = case.target.split_once('?').unwrap_or((&case.target, ""));
        let hash = hex(&Sha256::digest(&case.body));
        let mut headers: Vec<(&str, &[u8])> = case
            .headers
            .iter()
            .map(|(name, value)| (&**name, value.as_bytes()))
            .collect();
        if case.sign_body {
            headers.push(("x-amz-content-sha256", hash.as_bytes()));
        }
        let request = Signed {
            method: &case.method,
            path,
            query,
            headers: &headers,
            body: case.body.as_bytes(),
        };
        let signer = signer(case.token.as_deref(), "us-east-1", "service");
        let added = signer.sign(&request, at());
        let mut all = headers.clone();
        all.extend(
            added
                .iter()
                .filter(|(name, _)| *name != "authorization")
                .map(|(name, value)| (*name, value.as_bytes())),
        );
        let (canonical, _) = canonical(&request, &all);
        assert_eq!(
            std::str::from_utf8(&canonical).expect("text"),
            case.canonical,
            "{}",
            case.name
        );
        let (name, value) = added.last().expect("headers");
        assert_eq!(*name, "authorization");
        let signature = value.rsplit_once("Signature=").expect("a signature").1;
        assert_eq!(signature, case.signature, "{}", case.name);
    }
}

#[test]
fn an_encoded_colon_is_encoded_once_more() {
    let path = "/model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke";
    assert_eq!(
        canonical_path(path),
        "/model/anthropic.claude-3-haiku-20240307-v1%253A0/invoke"
    );
    assert_eq!(
        canonical_path("/model/a:0/invoke"),
        "/model/a%3A0/invoke",
        "what travels plain is encoded once"
    );
}

#[test]
fn what_is_added_and_what_is_secret() {
    let signer = signer(Some("session-token"), "eu-west-1", "bedrock");
    let request = Signed {
        method: "POST",
        path: "/model/m/invoke",
        query: "",
        headers: &[("host", b"h:1")],
        body: b"{}",
    };
    let added = signer.sign(&request, at());
    let names: Vec<&str> = added.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        ["x-amz-date", "x-amz-security-token", "authorization"]
    );
    assert_eq!(added[0].1, "20150830T123600Z");
    assert!(added[2].1.starts_with(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/eu-west-1/bedrock/aws4_request, \
         SignedHeaders=host;x-amz-date;x-amz-security-token, Signature="
    ));
    let other = signer.sign(
        &Signed {
            body: b"{ }",
            ..request
        },
        at(),
    );
    assert_ne!(other[2], added[2], "another body, another signature");
    let secrets: Vec<&str> = signer.secrets().collect();
    assert_eq!(
        secrets,
        ["wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session-token"]
    );
}

#[test]
fn each_day_has_its_own_key() {
    let request = Signed {
        method: "POST",
        path: "/",
        query: "",
        headers: &[("host", b"h")],
        body: b"{}",
    };
    let kept = signer(None, "us-east-1", "bedrock");
    let second = Duration::from_secs(1);
    let midnight: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let times = [
        midnight - second,
        midnight,
        midnight + second,
        midnight - second,
    ];
    for at in times {
        let fresh = signer(None, "us-east-1", "bedrock");
        assert_eq!(kept.sign(&request, at), fresh.sign(&request, at), "{at}");
    }
}
