//! The only place that knows tiktoken-rs: vocabularies, loaded when first needed and kept, and long texts by parts.

use tiktoken_rs::tokenizer::Tokenizer;
use tiktoken_rs::{
    CoreBPE, cl100k_base_singleton, o200k_base_singleton, o200k_harmony_singleton,
    p50k_base_singleton, p50k_edit_singleton, r50k_base_singleton,
};

/// Longest run of one kind of character that is given to the tokenizer in one piece. Its pattern looks back over
/// such a run, and gives up (by a panic) after a million steps.
const RUN_BYTES: usize = 32 * 1024;

/// Tokens of a text. Special tokens in it are text like any other. One longer than `part_bytes` is counted by parts,
/// cut before white space: there no token is lost or made, save for runs of white space. Where there is none, it is
/// cut after `part_bytes`, which can cost a token or two a cut.
pub(super) fn count_text(vocabulary: Tokenizer, text: &str, part_bytes: usize) -> u64 {
    if text.is_empty() {
        return 0;
    }
    let bpe = bpe(vocabulary);
    parts(text, part_bytes)
        .map(|part| bpe.count_ordinary(part) as u64)
        .sum()
}

fn bpe(vocabulary: Tokenizer) -> &'static CoreBPE {
    match vocabulary {
        Tokenizer::O200kHarmony => o200k_harmony_singleton(),
        Tokenizer::O200kBase => o200k_base_singleton(),
        Tokenizer::Cl100kBase => cl100k_base_singleton(),
        Tokenizer::P50kBase => p50k_base_singleton(),
        Tokenizer::P50kEdit => p50k_edit_singleton(),
        Tokenizer::R50kBase | Tokenizer::Gpt2 => r50k_base_singleton(),
    }
}

/// The text in parts that together are the text.
fn parts(text: &str, part_bytes: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (part, after) = rest.split_at(part_end(rest, part_bytes));
        rest = after;
        Some(part)
    })
}

fn part_end(text: &str, part_bytes: usize) -> usize {
    let bytes = text.as_bytes();
    let (mut run_start, mut run_kind, mut last_border) = (0, None, None);
    for (at, byte) in bytes.iter().enumerate() {
        let kind = kind(*byte);
        if run_kind != Some(kind) {
            if kind == ByteKind::Space && 0 < at {
                last_border = Some(at);
            }
            (run_start, run_kind) = (at, Some(kind));
        }
        if part_bytes <= at {
            return last_border.unwrap_or_else(|| char_border(text, at));
        }
        if RUN_BYTES <= at - run_start {
            return char_border(text, at);
        }
    }
    text.len()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ByteKind {
    Space,
    Word,
    Other,
}

fn kind(byte: u8) -> ByteKind {
    match byte {
        b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => ByteKind::Space,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | 0x80.. => ByteKind::Word,
        _ => ByteKind::Other,
    }
}

/// The last character border at or before `at`, but not 0.
fn char_border(text: &str, at: usize) -> usize {
    let before = (1..=at).rev().find(|at| text.is_char_boundary(*at));
    before
        .or_else(|| (at..=text.len()).find(|at| 0 < *at && text.is_char_boundary(*at)))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(text: &str, part_bytes: usize) -> u64 {
        count_text(Tokenizer::O200kBase, text, part_bytes)
    }

    #[test]
    fn parts_count_as_the_whole() {
        let text = "The quick brown fox, 12 of them; and so on. Größe zählt!\n".repeat(40);
        let whole = count(&text, usize::MAX);
        assert!(whole.abs_diff(count(&text, 200)) <= whole / 50);
    }

    #[test]
    fn long_runs_are_bounded() {
        for run in ["a", " ", "\n", "!", "é", "\0", "ab ", "\u{3000}", "\t \n"] {
            let text = run.repeat(300_000 / run.len());
            assert!(0 < count(&text, 64 * 1024), "{run:?}");
        }
    }

    proptest! {
        #[test]
        fn parts_are_the_text(text in "[a é\n😀!]{0,40}", part_bytes in 4usize..20) {
            let joined: String = parts(&text, part_bytes).collect();
            prop_assert_eq!(&joined, &text);
            prop_assert!(parts(&text, part_bytes).all(|part| !part.is_empty() && part.len() <= part_bytes.max(4)));
        }
    }
}
