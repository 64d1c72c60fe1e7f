//! Counting tokens: pure, and only for exchanges whose upstream reported no usage. Which encoding belongs to which
//! model, and whether a count is exact or an estimate, is in the types. Never used on the request path: a vocabulary
//! takes a tenth of a second to load, when it is first needed, and a kilobyte of text 20 to 50 µs.

mod estimate;
mod tiktoken;

pub use self::estimate::{Encoding, encoding_for};
use self::tiktoken::count_text;

/// What every message costs beside its texts.
// Source: OpenAI cookbook, "How to count tokens with tiktoken" (read 2026-11).
const PER_MESSAGE: u64 = 3;
/// What a name costs beside its text.
const PER_NAME: u64 = 1;
/// What the beginning of the reply costs.
const REPLY: u64 = 3;

/// Longest text that is counted in one go, in bytes, unless set otherwise.
pub const PART_BYTES: usize = 64 * 1024;

/// A number of tokens, and how far to trust it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// With the model's own encoding.
    Exact(u64),
    /// With another encoding, or with something left out that only the upstream can count.
    Estimated(u64),
}

impl Count {
    /// The number.
    pub fn tokens(self) -> u64 {
        match self {
            Self::Exact(tokens) | Self::Estimated(tokens) => tokens,
        }
    }

    /// Whether it was counted with the model's own encoding and nothing left out.
    pub fn is_exact(self) -> bool {
        match self {
            Self::Exact(_) => true,
            Self::Estimated(_) => false,
        }
    }
}

/// Counts tokens for one model.
#[derive(Debug, Clone, Copy)]
pub struct TokenCounter {
    encoding: Encoding,
    part_bytes: usize,
}

impl TokenCounter {
    /// For a model by its name, provider prefixes and all; unknown ones are estimated.
    pub fn for_model(model: &str) -> Self {
        Self {
            encoding: encoding_for(model),
            part_bytes: PART_BYTES,
        }
    }

    /// With another size above which texts are counted by parts.
    pub fn with_part_bytes(self, part_bytes: usize) -> Self {
        Self {
            part_bytes: part_bytes.max(4),
            ..self
        }
    }

    /// Tokens of some texts.
    pub fn texts<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> Count {
        let tokens = texts
            .into_iter()
            .map(|text| count_text(self.encoding.vocabulary, text, self.part_bytes))
            .sum();
        if self.encoding.exact {
            Count::Exact(tokens)
        } else {
            Count::Estimated(tokens)
        }
    }

    /// Tokens of a chat prompt: its texts, and what messages, names and the reply cost beside them.
    pub fn chat<'a>(
        &self,
        messages: u64,
        names: u64,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Count {
        let beside = PER_MESSAGE * messages + PER_NAME * names + REPLY;
        match self.texts(texts) {
            Count::Exact(tokens) => Count::Exact(tokens + beside),
            Count::Estimated(tokens) => Count::Estimated(tokens + beside),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_counted_with_the_models_own_encoding() {
        let count = |model: &str, text: &str| TokenCounter::for_model(model).texts([text]);
        assert_eq!(count("gpt-4o", "hello world"), Count::Exact(2));
        assert_eq!(count("llama-3", "hello world"), Count::Estimated(2));
        let text = "안녕하세요 세계, 다시 만나서 반갑습니다";
        assert!(count("gpt-4o", text).tokens() < count("gpt-4", text).tokens());
        assert_eq!(TokenCounter::for_model("gpt-4o").texts([]), Count::Exact(0));
    }

    #[test]
    fn special_tokens_in_a_text_are_text() {
        assert!(
            1 < TokenCounter::for_model("gpt-4o")
                .texts(["<|endoftext|>"])
                .tokens()
        );
    }

    #[test]
    fn a_chat_costs_more_than_its_texts() {
        let counter = TokenCounter::for_model("gpt-4o");
        let texts = counter.texts(["user", "hi", "ann"]).tokens();
        assert_eq!(
            counter.chat(1, 1, ["user", "hi", "ann"]),
            Count::Exact(texts + 3 + 1 + 3)
        );
    }
}
