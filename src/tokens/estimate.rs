//! Which encoding belongs to a model, and whether that is known or a guess.

use tiktoken_rs::tokenizer::{Tokenizer, get_tokenizer};

/// The encoding a model's texts are counted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    /// The vocabulary.
    pub vocabulary: Tokenizer,
    /// Whether it is the model's own.
    pub exact: bool,
}

/// First parts of a name that say where a model runs, not which one it is.
const PROVIDERS: [&str; 8] = [
    "openai",
    "azure",
    "azure-openai",
    "azure_openai",
    "openrouter",
    "litellm",
    "github",
    "models",
];

/// Argo's ids of models, where no rule of names knows the encoding.
const ARGO_IDS: [(&str, &str); 8] = [
    ("gpt35", "gpt-3.5-turbo"),
    ("gpt35large", "gpt-3.5-turbo"),
    ("gpt4", "gpt-4"),
    ("gpt4large", "gpt-4"),
    ("gpt4turbo", "gpt-4-turbo"),
    ("ada002", "text-embedding-ada-002"),
    ("v3small", "text-embedding-3-small"),
    ("v3large", "text-embedding-3-large"),
];

/// How Argo's ids and names of OpenAI's newer models begin, which have all one encoding.
const ARGO_O200K: [&str; 7] = [
    "gpt4o", "gpt41", "gpt5", "gpto", "gpt-o1", "gpt-o3", "gpt-o4",
];

/// The encoding of a model: its own where it is known, provider prefixes (`openai/gpt-4o`) left out, else o200k.
pub fn encoding_for(model: &str) -> Encoding {
    let mut name = model.trim();
    let mut known = true;
    while let Some((first, rest)) = name.split_once('/') {
        known &= PROVIDERS
            .iter()
            .any(|provider| first.eq_ignore_ascii_case(provider));
        name = rest;
    }
    let name = name.strip_prefix("argo:").unwrap_or(name);
    let name = ARGO_IDS
        .iter()
        .find(|(id, _)| *id == name)
        .map_or(name, |(_, model)| *model);
    let found = get_tokenizer(name).or_else(|| get_tokenizer(&name.to_ascii_lowercase()));
    let of_argo = || {
        let is_one = ARGO_O200K.iter().any(|begin| name.starts_with(begin));
        is_one.then_some(Tokenizer::O200kBase)
    };
    match found.or_else(of_argo) {
        Some(vocabulary) => Encoding {
            vocabulary,
            exact: known,
        },
        None => Encoding {
            vocabulary: Tokenizer::O200kBase,
            exact: false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(model: &str, vocabulary: Tokenizer, exact: bool) {
        assert_eq!(
            encoding_for(model),
            Encoding { vocabulary, exact },
            "{model}"
        );
    }

    #[test]
    fn encodings_by_name() {
        use Tokenizer::{Cl100kBase, O200kBase, O200kHarmony, R50kBase};
        for (model, vocabulary) in [
            ("gpt-4o-mini", O200kBase),
            ("gpt-4o-2024-05-13", O200kBase),
            ("GPT-4o", O200kBase),
            ("openai/gpt-4o", O200kBase),
            ("azure/gpt-4", Cl100kBase),
            ("openrouter/openai/gpt-3.5-turbo", Cl100kBase),
            ("ft:gpt-4o:org:name:id", O200kBase),
            ("text-embedding-3-small", Cl100kBase),
            ("gpt-oss-20b", O200kHarmony),
            ("davinci", R50kBase),
            ("argo:gpt-4", Cl100kBase),
            ("argo:gpt-4o", O200kBase),
            ("argo:text-embedding-3-small", Cl100kBase),
            ("gpt35", Cl100kBase),
            ("gpt4turbo", Cl100kBase),
            ("gpt41", O200kBase),
            ("gpt41nano", O200kBase),
            ("gpt4olatest", O200kBase),
            ("gpto1preview", O200kBase),
            ("argo:gpt-o3-mini", O200kBase),
            ("gpt5mini", O200kBase),
        ] {
            check(model, vocabulary, true);
        }
        for model in [
            "claude-3-5-haiku",
            "gemini-2.0",
            "Qwen/Qwen3-8B",
            "",
            "/",
            "openai/",
            "gpt-6",
            "argo:claude-opus-4.1",
            "gpt-omni",
        ] {
            check(model, O200kBase, false);
        }
        check("someone/gpt-4", Cl100kBase, false);
    }
}
