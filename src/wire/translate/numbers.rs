//! Numbers of more digits than a tree's numbers hold: what they lose is told.

use super::Dropped;
use crate::wire::json_reader::{JsonError, Kind, Reader};

/// Most digits that a number of a tree is written with.
const MOST_DIGITS: usize = 17;

/// Names the numbers of a body that lose digits.
pub(super) fn note(body: &[u8], dropped: &mut Dropped) {
    let is_of_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let mut runs = body.split(|byte| !is_of_number(byte));
    if runs.any(|run| MOST_DIGITS < run.len())
        && let Ok(text) = std::str::from_utf8(body)
    {
        // What is no JSON is told elsewhere.
        walk(&mut Reader::new(text), "", dropped).ok();
    }
}

/// Whether a text of JSON has a number that loses digits.
pub(super) fn are_lost(text: &str) -> bool {
    let mut lost = Dropped::default();
    note(text.as_bytes(), &mut lost);
    lost != Dropped::default()
}

fn walk(json: &mut Reader<'_>, path: &str, dropped: &mut Dropped) -> Result<(), JsonError> {
    match json.peek()? {
        Kind::Object => {
            json.object(|key, json| {
                let dot = if path.is_empty() { "" } else { "." };
                walk(json, &format!("{path}{dot}{}", key.text()), dropped)
            })?;
        }
        Kind::Array => {
            let mut at = 0;
            json.array(|json| {
                let item = format!("{path}[{at}]");
                at += 1;
                walk(json, &item, dropped)
            })?;
        }
        Kind::Number if loses(json.raw()?) => dropped.add(path),
        Kind::Number => {}
        Kind::String | Kind::Bool | Kind::Null => json.skip()?,
    }
    Ok(())
}

fn loses(number: &str) -> bool {
    if number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return false;
    }
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    MOST_DIGITS < digits.trim_matches('0').len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::translate::{AnswerFacts, ClientFormat, Format, answer};

    #[test]
    fn what_loses_digits_is_named() {
        for (number, is_lost) in [
            ("1.10", false),
            ("18446744073709551615", false),
            ("-9223372036854775808", false),
            ("0.30000000000000004", false),
            ("0.0000000000000000001", false),
            ("100000000000000000000000", false),
            ("1e300", false),
            ("12345678901234567890123", true),
            ("-3.14159265358979323846", true),
            ("1.234567890123456789e5", true),
        ] {
            let body = format!("{{\"a\":[\"12345678901234567890123\",{{\"b\":{number}}}]}}");
            let mut dropped = Dropped::default();
            note(body.as_bytes(), &mut dropped);
            let expected: &[&str] = if is_lost { &["a[1].b"] } else { &[] };
            assert_eq!(dropped.into_fields(), expected, "{number}");
        }
    }

    #[test]
    fn a_call_whose_numbers_lose_digits_is_named() {
        let long = "{\"n\":12345678901234567890123}";
        let chat = format!(
            "{{\"choices\":[{{\"message\":{{\"tool_calls\":[{{\"id\":\"a\",\"function\":{{\"name\":\"f\",\"arguments\":{}}}}}]}},\"finish_reason\":\"tool_calls\"}}]}}",
            serde_json::Value::from(long)
        );
        let message = format!(
            "{{\"content\":[{{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{long}}}],\"stop_reason\":\"tool_use\"}}"
        );
        let facts = AnswerFacts {
            request_id: "id-1".to_owned(),
            model: "m".to_owned(),
            created_s: 1,
            include_usage: false,
            tools_in_words: false,
            echo: serde_json::Map::new(),
        };
        for (from, to, body, path) in [
            (
                Format::OpenaiChat,
                ClientFormat::Anthropic,
                chat,
                "choices[0].message.tool_calls[0].function.arguments",
            ),
            (
                Format::Anthropic,
                ClientFormat::OpenaiChat,
                message,
                "content[0].input.n",
            ),
        ] {
            let (_, dropped) = answer(from, to, body.as_bytes(), &facts).expect("an answer");
            assert_eq!(dropped.into_fields(), [path]);
        }
    }
}
