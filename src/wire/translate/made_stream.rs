//! A stream made of a whole answer, for clients that asked for a stream where the provider gave none: the same texts
//! and calls, piece by piece, and nothing beside them. Pieces end behind a blank where there is one, never inside a
//! character, and put together they are the text to the last blank.

use serde_json::Value;

use super::canonical::{Answer, Part, Usage};
use super::piece::{Give, Piece, spelt};

/// Shortest piece of a longer text, in bytes: some words.
const LEAST_BYTES: usize = 48;

/// Most pieces of one text, more or less: a long one comes in longer pieces, so that it does not become many times as
/// long by what stands around each.
const MOST_PIECES: usize = 1024;

/// Gives an answer as what its stream would have said.
pub(super) fn pieces(answer: Answer, give: Give<'_>) {
    // What was read is known before anything is said; a stream of Anthropic's begins with it.
    if let Some(usage) = answer.usage {
        give(Piece::Usage(Usage {
            output: None,
            reasoning: None,
            ..usage
        }));
    }
    let model = answer.model.as_deref().map(spelt);
    give(Piece::Start {
        model: model.as_deref(),
    });
    if !answer.logprobs.is_empty() {
        give(Piece::Logprobs(&answer.logprobs));
    }
    let mut calls = 0;
    for part in answer.parts {
        match part {
            Part::Text(text) => each(&text, &mut |text| give(Piece::Text(text))),
            Part::Refusal(text) => each(&text, &mut |text| give(Piece::Refusal(text))),
            Part::Thinking { text, signature } => {
                each(&text, &mut |text| give(Piece::Thinking(text)));
                if let Some(signature) = signature.filter(|signature| !signature.is_empty()) {
                    give(Piece::Signature(&spelt(&signature)));
                }
            }
            Part::RedactedThinking(data) => give(Piece::RedactedThinking(&spelt(&data))),
            Part::ToolUse {
                id,
                name,
                input,
                signature,
            } => {
                let number = calls;
                calls += 1;
                give(Piece::Tool {
                    number,
                    id: &spelt(&id),
                    name: &spelt(&name),
                    signature: &spelt(&signature.unwrap_or_default()),
                });
                let input = match &input {
                    // What stands for no input is the writer's to say.
                    Value::Object(members) if members.is_empty() => String::new(),
                    input => input.to_string(),
                };
                each(&input, &mut |json| give(Piece::Input { number, json }));
                give(Piece::PartEnd { number });
            }
            // No answer has them.
            Part::Image(_) | Part::Document { .. } | Part::ToolResult { .. } => {}
        }
    }
    for (number, cut) in (calls..).zip(answer.cut_calls) {
        give(Piece::Tool {
            number,
            id: &spelt(&cut.id),
            name: &spelt(&cut.name),
            signature: &spelt(&cut.signature.unwrap_or_default()),
        });
        each(&cut.input, &mut |json| give(Piece::Input { number, json }));
        give(Piece::PartEnd { number });
    }
    if let Some(usage) = answer.usage {
        give(Piece::Usage(usage));
    }
    let sequence = answer.stop_sequence.as_deref().map(spelt);
    give(Piece::Stop {
        stop: answer.stop,
        word: "",
        sequence: sequence.as_deref(),
    });
    give(Piece::End);
}

/// Each piece of a text, as it is spelt in JSON.
fn each(text: &str, take: &mut dyn FnMut(&str)) {
    let most_bytes = LEAST_BYTES.max(text.len() / MOST_PIECES);
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(border(rest, most_bytes));
        take(&spelt(piece));
        rest = behind;
    }
}

/// Where a piece of at most so many bytes ends, or of one character, if that is longer.
fn border(text: &str, most_bytes: usize) -> usize {
    if text.len() <= most_bytes {
        return text.len();
    }
    let (window, _) = text.split_at(text.floor_char_boundary(most_bytes));
    let behind_blank = window.rfind(char::is_whitespace).and_then(|at| {
        let blank = window.get(at..)?.chars().next()?;
        Some(at + blank.len_utf8())
    });
    let first = text.chars().next().map_or(1, char::len_utf8);
    behind_blank.unwrap_or(window.len()).max(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(text: &str) -> Vec<String> {
        let mut pieces = Vec::new();
        each(text, &mut |piece| {
            let quoted = format!("\"{piece}\"");
            pieces.push(serde_json::from_str(&quoted).expect("a JSON string"));
        });
        pieces
    }

    #[test]
    fn pieces_end_behind_blanks() {
        let code = "fn main() {\n    println!(\"two  blanks\");\n}\n\n\tlet x = 1;  \n";
        let pieces = cut(code);
        assert_eq!(pieces.concat(), code);
        assert_eq!(pieces.len(), 2, "{pieces:?}");
        assert!(pieces[0].ends_with(char::is_whitespace), "{pieces:?}");
        assert!(cut("").is_empty());
        assert_eq!(cut("one"), ["one"]);
    }

    #[test]
    fn a_long_text_has_a_bounded_number_of_pieces() {
        let long = "word ".repeat(1_000_000);
        let pieces = cut(&long);
        assert!(pieces.len() <= MOST_PIECES + 1, "{}", pieces.len());
        assert_eq!(pieces.concat(), long);
    }

    proptest! {
        #[test]
        fn nothing_is_lost(text in "[a-zé😀\u{200d}\\\\\" \t\r\n\u{3000}]{0,400}") {
            let pieces = cut(&text);
            prop_assert!(pieces.iter().all(|piece| !piece.is_empty()));
            prop_assert_eq!(pieces.concat(), text);
        }
    }
}
