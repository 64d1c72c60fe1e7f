use proptest::prelude::*;
use serde_json::json;

use super::*;

fn document(text: &str) -> Document {
    Document::new(Bytes::copy_from_slice(text.as_bytes()))
}

#[track_caller]
fn check_set(before: &str, key: &str, value: Value, after: &str) {
    let mut document = document(before);
    document.set(key, &value).unwrap();
    assert_eq!(document.text(), Some(after));
    assert_eq!(document.revision(), 1);
    assert_eq!(document.get(key), Some(value.to_string().as_str()));
}

#[track_caller]
fn check_remove(before: &str, key: &str, after: &str) {
    let mut document = document(before);
    assert!(document.remove(key).unwrap());
    assert_eq!(document.text(), Some(after));
}

#[test]
fn set_replaces_one_value() {
    check_set(
        r#"{ "a" : 1.0 , "b":"\u00e9" }"#,
        "a",
        json!(2),
        r#"{ "a" : 2 , "b":"\u00e9" }"#,
    );
    check_set("{ \"a\":1 }\n", "b", json!([1]), "{ \"a\":1 ,\"b\":[1]}\n");
    check_set("{ }", "b", json!(null), r#"{ "b":null}"#);
    check_set(r#"{"\u0061":1}"#, "a", json!(2), r#"{"\u0061":2}"#);
}

#[test]
fn remove_takes_the_comma_along() {
    check_remove(r#"{"a":1, "b":2, "c":3}"#, "a", r#"{"b":2, "c":3}"#);
    check_remove(r#"{"a":1, "b":2, "c":3}"#, "b", r#"{"a":1, "c":3}"#);
    check_remove(r#"{"a":1, "b":2, "c":3 }"#, "c", r#"{"a":1, "b":2 }"#);
    check_remove(r#"{ "a":1 }"#, "a", "{  }");
    assert!(!document("{}").remove("a").unwrap());
}

#[test]
fn unedited_bytes_are_the_received_ones() {
    let received = Bytes::from_static(b"{\"a\":1}");
    let document = Document::new(received.clone());
    assert_eq!(document.get("a"), Some("1"));
    assert_eq!(document.bytes().as_ptr(), received.as_ptr());
    assert_eq!(document.clone().bytes().as_ptr(), received.as_ptr());
}

#[test]
fn what_is_no_object_is_refused() {
    for text in ["", "[1]", "{\"a\":1}x", "\u{feff}{}", "{'a':1}"] {
        assert_eq!(
            document(text).set("a", &json!(1)),
            Err(BodyError::NotAnObject),
            "{text}"
        );
        assert_eq!(document(text).get("a"), None);
    }
    let not_utf8 = Document::new(Bytes::from_static(b"{\"a\":\"\xff\"}"));
    assert_eq!(not_utf8.check(), Err(BodyError::NotAnObject));
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    for text in [r#"{"user":1,"user":2}"#, r#"{"user":1,"us\u0065r":2}"#] {
        let twice = Err(BodyError::DuplicateKey("user".to_owned()));
        assert_eq!(document(text).check(), twice);
        assert_eq!(document(text).get("user"), None);
    }
}

#[test]
fn paths_reach_into_objects() {
    let document = document(r#"{"a":{"b":{"c":1e2}},"s":"x","n":null}"#);
    assert_eq!(document.number("a.b.c"), Some(100.0));
    assert_eq!(document.string("s").as_deref(), Some("x"));
    assert_eq!(document.number("s"), None);
    assert_eq!(document.get_path("a.x.c"), None);
    assert_eq!(document.get("n"), Some("null"));
}

proptest! {
    #[test]
    fn an_edit_leaves_all_other_bytes(
        keys in proptest::collection::btree_set("[a-z]{1,4}|\\PC{1,3}", 1..6),
        blank in "[ \n]{0,2}",
        pick in any::<prop::sample::Index>(),
        new in "\\PC{0,8}",
    ) {
        let keys: Vec<String> = keys.into_iter().collect();
        let picked = pick.index(keys.len());
        let write = |value: &str| {
            let member = |(at, key): (usize, &String)| {
                let value = if at == picked { value } else { "1.50e0" };
                format!("{blank}{}{blank}:{blank}{value}", json::encode(key))
            };
            let members: Vec<String> = keys.iter().enumerate().map(member).collect();
            format!("{{{}{blank}}}", members.join(","))
        };
        let mut document = document(&write("[ 0 ]"));
        document.set(&keys[picked], &json!(new)).unwrap();
        let expected = write(&json!(new).to_string());
        prop_assert_eq!(document.text(), Some(expected.as_str()));
    }
}
