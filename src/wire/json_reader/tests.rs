use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Step {
    let mut reader = Reader::new(text);
    reader.skip()?;
    reader.end()
}

#[track_caller]
fn check(text: &str, valid: bool) {
    assert_eq!(read(text).is_ok(), valid, "{text} {:?}", read(text));
}

#[test]
fn json_is_told_from_what_only_looks_like_it() {
    for text in [
        "{}",
        "[]",
        " [1 , 2]\n",
        "-0",
        "0.1",
        "1e400",
        "1E+5",
        "\"\"",
        "\"\\ud800\"",
        "null",
        "true",
        "[{}]",
    ] {
        check(text, true);
    }
    for text in [
        "",
        " ",
        "NaN",
        "Infinity",
        "01",
        "+1",
        "1.",
        ".5",
        "1e",
        "-",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "[1 2]",
        "{\"a\" 1}",
        "\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\n\"",
        "nul",
        "tru",
        "{} {}",
        "[]]",
        "[",
        "{",
        "{\"a\":}",
        "\u{feff}{}",
        "\u{0}",
        "[\u{a0}1]",
    ] {
        check(text, false);
    }
}

#[test]
fn f18_depth_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    check(&nested(128), true);
    assert_eq!(
        read(&nested(129)),
        Err(JsonError::TooDeep {
            offset: 128,
            limit: 128
        })
    );
    assert_eq!(
        read(&"[".repeat(100_000)),
        Err(JsonError::TooDeep {
            offset: 128,
            limit: 128
        })
    );
    let objects = "{\"a\":".repeat(100_000);
    assert!(matches!(read(&objects), Err(JsonError::TooDeep { .. })));
}

#[test]
fn odd_kinds_are_stepped_over() {
    let mut reader = Reader::new(r#"[{"a":1}, "x", 5, [1]]"#);
    let mut seen = Vec::new();
    let array = reader.array(|reader| {
        seen.push(reader.string()?.map(|text| text.raw));
        Ok(())
    });
    assert_eq!(array, Ok(true));
    assert_eq!(seen, [None, Some("x"), None, None]);
    assert_eq!(
        Reader::new("5").object(|_, reader| reader.skip()),
        Ok(false)
    );
    assert_eq!(Reader::new("\"true\"").boolean(), Ok(None));
}

/// Texts near JSON: pieces of it in any order.
fn near_json() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"\\u00e9\"",
        "\"\\",
        "\"",
        "1",
        "-",
        "0",
        ".5",
        "e3",
        "true",
        "null",
        " ",
        "\n",
        "é",
        "\t",
        "{}",
        "[]",
        "{\"a\":1}",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn serde_json_accepts_the_same(text in near_json()) {
        let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
        prop_assert_eq!(read(&text).is_ok(), theirs, "{}", text);
    }

    #[test]
    fn every_text_reads_back(text in any::<String>()) {
        let quoted = serde_json::to_string(&text).unwrap();
        let mut reader = Reader::new(&quoted);
        let read = reader.string().unwrap().unwrap().text().into_owned();
        prop_assert_eq!(read, text.replace('\0', "\\u0000"));
    }
}
