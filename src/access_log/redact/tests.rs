use super::*;
use crate::filter::Headers;

#[test]
fn a_mark_ignores_the_scheme() {
    assert_eq!(mark(b"Bearer sk-abcdef"), mark(b"sk-abcdef"));
    assert!(mark(b"sk-abcdef").starts_with("***"));
    assert_eq!(mark(b"sk-abcdef").len(), 11);
}

#[test]
fn credential_headers_and_embedded_keys_are_marked() {
    let secrets = Secrets::new([b"sk-provider-1".as_slice()]);
    let pairs: [(&str, &[u8]); 3] = [
        ("Authorization", b"Bearer sk-client"),
        ("x-echo", b"got sk-provider-1 here"),
        ("accept", b"*/*"),
    ];
    let headers = Headers::from_pairs(pairs);
    let json = headers_json(headers.iter(), &secrets);
    assert!(
        !json.contains("sk-client") && !json.contains("sk-provider-1"),
        "{json}"
    );
    assert!(json.contains(r#""accept":"*/*""#), "{json}");
    assert!(
        json.contains(&format!(r#""authorization":"{}""#, mark(b"sk-client"))),
        "{json}"
    );
}

#[test]
fn headers_are_a_json_object() {
    type Pairs<'a> = &'a [(&'a str, &'a [u8])];
    let cases: [(Pairs<'_>, &str); 5] = [
        (&[], "{}"),
        (&[("A", b"1"), ("b", b"2")], r#"{"a":"1","b":"2"}"#),
        (
            &[("a", b"1"), ("b", b"2"), ("A", b"3"), ("a", b"4")],
            r#"{"a":"1, 3, 4","b":"2"}"#,
        ),
        (&[("a", b"\"\\\t\x01")], r#"{"a":"\"\\\t\u0001"}"#),
        (
            &[("a", b"caf\xe9"), ("b", "é".as_bytes())],
            r#"{"a":"café","b":"é"}"#,
        ),
    ];
    for (pairs, expected) in cases {
        let headers = Headers::from_pairs(pairs.iter().copied());
        let json = headers_json(headers.iter(), &Secrets::default());
        assert_eq!(json, expected);
    }
}

#[test]
fn a_header_that_is_no_text_is_masked_too() {
    let secrets = Secrets::new([b"sk-provider-1".as_slice()]);
    let headers = Headers::from_pairs([("x-echo", b"caf\xe9 sk-provider-1".as_slice())]);
    let json = headers_json(headers.iter(), &secrets);
    let masked = format!(r#"{{"x-echo":"café {}"}}"#, mark(b"sk-provider-1"));
    assert_eq!(json, masked);
}

#[test]
fn nothing_is_left_of_a_key_that_holds_another() {
    let secrets = Secrets::new([b"sk-team-1".as_slice(), b"sk-team-1-of-ann"]);
    let masked = secrets.mask_text("it is sk-team-1-of-ann, not sk-team-1");
    let (long, short) = (mark(b"sk-team-1-of-ann"), mark(b"sk-team-1"));
    assert_eq!(masked, format!("it is {long}, not {short}"));
    assert_eq!(secrets.longest(), "sk-team-1-of-ann".len());
}

#[test]
fn a_credential_is_known_by_its_mark() {
    let key = "sk-own_key-0123";
    for text in [
        "your key is sk-own_key-0123.",
        "key=sk-own_key-0123",
        "{\"key\":\"sk-own_key-0123\"}",
        "sk-own_key-0123",
    ] {
        assert_eq!(
            marked_word(text, &mark(key.as_bytes())),
            Some(key),
            "{text}"
        );
    }
    let token = "abc.def/ghi+jkl==";
    assert_eq!(
        marked_word(&format!("<{token}>"), &mark(token.as_bytes())),
        Some(token)
    );
    for text in ["", "your key is sk-own_key-012", "sk-own_key-01234"] {
        assert_eq!(marked_word(text, &mark(key.as_bytes())), None, "{text}");
    }
}

#[test]
fn marks_are_read_back_from_headers() {
    let pairs: [(&str, &[u8]); 3] = [
        ("authorization", b"Bearer sk-client"),
        ("x-note", b"***01234567"),
        ("api-key", b"sk-other-one"),
    ];
    let json = headers_json(Headers::from_pairs(pairs).iter(), &Secrets::default());
    assert_eq!(marks_in(&json), [mark(b"sk-other-one"), mark(b"sk-client")]);
    assert_eq!(marks_in("no json"), Vec::<String>::new());
}

#[test]
fn queries_lose_their_keys() {
    assert_eq!(path("/v1/x?a=1"), "/v1/x?a=1");
    let masked = path("/v1/x?a=1&key=AIzaSecret&b=2");
    assert_eq!(masked, format!("/v1/x?a=1&key={}&b=2", mark(b"AIzaSecret")));
}

#[test]
fn bodies_without_a_secret_are_not_copied() {
    let secrets = Secrets::new([b"sk-provider-1".as_slice()]);
    let clean = Bytes::from_static(b"nothing to see");
    assert_eq!(secrets.mask(clean.clone()).as_ptr(), clean.as_ptr());
    let masked = secrets.mask(Bytes::from_static(b"a sk-provider-1 b sk-provider-1"));
    assert!(!secrets.occur_in(&masked));
    assert!(masked.starts_with(b"a ***"));
}

#[test]
fn keys_are_marked_alike_however_they_became_known() {
    let keys: [&[u8]; 4] = [
        b"sk-first-1",
        b"Bearer sk-second",
        b"sk-first-1-more",
        b"sk-first-1",
    ];
    let together = Secrets::new(keys);
    let mut later = Secrets::new([keys[1]]);
    keys.iter().for_each(|key| later.add(key));
    let mut united = Secrets::new([keys[0]]);
    united.add_all(&Secrets::new([keys[2], keys[1]]));
    let [first, second, more] = [keys[0], b"sk-second", keys[2]].map(mark);
    let said = "sk-first-1 sk-second sk-first-1-moresk-first-1 é sk-secon";
    let expected = format!("{first} {second} {more}{first} é sk-secon");
    for secrets in [together, later, united] {
        assert_eq!(secrets.mask_text(said), expected);
        assert_eq!(secrets.mask(said.into()), expected.as_bytes());
        assert_eq!(secrets.longest(), keys[2].len());
        assert!(secrets.occur_in(said.as_bytes()) && !secrets.occur_in(expected.as_bytes()));
        assert_eq!(format!("{secrets:?}"), "Secrets(3)");
    }
    assert!(!Secrets::new([b"short".as_slice()]).occur_in(b"short"));
}

#[test]
fn each_of_any_number_of_keys_is_found() {
    for count in [1, 2, 64, 65, 127, 128, 500] {
        let keys: Vec<String> = (0..count).map(|key| format!("sk-of-{key:04}")).collect();
        let secrets = Secrets::new(keys.iter().map(String::as_bytes));
        let said = keys.join(" ");
        let expected: Vec<String> = keys.iter().map(|key| mark(key.as_bytes())).collect();
        assert_eq!(secrets.mask_text(&said), expected.join(" "), "{count}");
        for key in &keys {
            assert!(secrets.occur_in(key.as_bytes()), "{key} of {count}");
        }
        assert!(!secrets.occur_in(b"sk-of-9999"), "{count}");
    }
}
