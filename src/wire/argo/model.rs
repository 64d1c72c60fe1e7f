//! Names of Argo's models: the ids that its API takes, and the names that clients write, such as `argo:gpt-4o`.

/// What stands before the names that clients write.
const PREFIX: &str = "argo:";

/// Ids, and names of clients that no rule makes of them.
const NAMED: &[(&str, &str)] = &[
    ("gpt35", "gpt-3.5-turbo"),
    ("gpt35large", "gpt-3.5-turbo-16k"),
    ("gpt4large", "gpt-4-32k"),
    ("gpt4turbo", "gpt-4-turbo-preview"),
    ("ada002", "text-embedding-ada-002"),
    ("v3small", "text-embedding-3-small"),
    ("v3large", "text-embedding-3-large"),
];

/// Ids whose names for clients are the same but for dots and dashes.
const IDS: &[&str] = &[
    "gpt4",
    "gpt4o",
    "gpt4olatest",
    "gpto1",
    "gpto1preview",
    "gpto1mini",
    "gpto3",
    "gpto3mini",
    "gpto4mini",
    "gpt41",
    "gpt41mini",
    "gpt41nano",
    "gpt5",
    "gpt5mini",
    "gpt5nano",
    "gpt51",
    "gpt52",
    "gpt54",
    "gpt55",
    "gemini25pro",
    "gemini25flash",
    "gemini35flash",
    "gemini31flashlite",
    "claudeopus4",
    "claudeopus41",
    "claudeopus45",
    "claudeopus46",
    "claudeopus47",
    "claudesonnet4",
    "claudesonnet35v2",
    "claudesonnet37",
    "claudesonnet45",
    "claudesonnet46",
    "claudehaiku45",
];

/// Families of Claude, whose name may stand before or behind the generation.
const CLAUDES: &[&str] = &["opus", "sonnet", "haiku"];

/// Who makes a model, as far as requests depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// OpenAI's that reason from the first generation on, `o1` to `o4`.
    OpenaiO,
    /// OpenAI's others.
    Openai,
    /// Anthropic's.
    Claude,
    /// Google's.
    Gemini,
    /// One that we do not know.
    Other,
}

impl Family {
    /// Of an id.
    pub fn of(id: &str) -> Self {
        match id {
            id if id.starts_with("gpto") => Self::OpenaiO,
            id if id.starts_with("gpt") => Self::Openai,
            id if id.starts_with("claude") => Self::Claude,
            id if id.starts_with("gemini") => Self::Gemini,
            _ => Self::Other,
        }
    }
}

/// Whether a model, by its id, knows no system role: the first two that reasoned. Their successors take one. (argo-proxy from
/// version 2 on.)
pub fn knows_no_system(id: &str) -> bool {
    id.ends_with("o1preview") || id.ends_with("o1mini")
}

/// What a model lets be said of how it picks its words. (argo-proxy, `tools/argo_probe_out`, read 2026-11: 204 requests to
/// Argo.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// Whatever is asked.
    Any,
    /// `temperature` or `top_p`, not both.
    OneOfBoth,
    /// A `temperature` of 1, which is what it has by itself, and no `top_p`.
    AsItIs,
    /// Nothing.
    Nothing,
}

impl Sampling {
    /// Of an id.
    pub fn of(id: &str) -> Self {
        match id {
            "claudeopus41" => Self::Any,
            "claudeopus47" => Self::Nothing,
            // Argo was not asked for the smallest one; it is as its siblings at OpenAI's.
            "gpt5" | "gpt5mini" | "gpt5nano" | "gpt55" => Self::AsItIs,
            id if id.starts_with("claude") => Self::OneOfBoth,
            _ => Self::Any,
        }
    }
}

/// The id of a model by any of its names: the id itself, the name for people, and those of clients, with or without
/// `argo:`. A name that is none of them stays, so that Argo says what it thinks of it: never another model than the one
/// asked for.
pub fn id(name: &str) -> String {
    let alias = name.strip_prefix(PREFIX);
    let name = alias.unwrap_or(name);
    let plain = plain(name);
    let named = NAMED
        .iter()
        .find(|(id, known)| *id == plain || self::plain(known) == plain);
    if let Some((id, _)) = named {
        return (*id).to_owned();
    }
    let of_o = format!("gpt{plain}");
    let candidates = [Some(plain.clone()), family_first(&plain), Some(of_o)];
    let known = candidates
        .into_iter()
        .flatten()
        .find(|candidate| IDS.contains(&&**candidate));
    known
        .or_else(|| alias.and_then(|_| newer(plain)))
        .unwrap_or_else(|| name.to_owned())
}

/// A name without what ids do not have.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|sign| !matches!(sign, '-' | '.' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

/// The id of a model that came after this list, by the rule that the others follow; the list of Argo's own shows its name.
fn newer(plain: String) -> Option<String> {
    match plain {
        plain if is_of_o(&plain) => Some(format!("gpt{plain}")),
        plain if plain.starts_with("claude") => Some(family_first(&plain).unwrap_or(plain)),
        plain if plain.starts_with("gpt") || plain.starts_with("gemini") => Some(plain),
        _ => None,
    }
}

/// Whether a name is as `o3`.
fn is_of_o(name: &str) -> bool {
    let number = name.strip_prefix('o').and_then(|rest| rest.chars().next());
    number.is_some_and(|number| number.is_ascii_digit())
}

/// `claude41opus` as `claudeopus41`.
fn family_first(plain: &str) -> Option<String> {
    let behind = plain.strip_prefix("claude")?;
    CLAUDES.iter().find_map(|family| {
        let (generation, rest) = behind.split_once(family)?;
        let is_generation = !generation.is_empty();
        is_generation.then(|| format!("claude{family}{generation}{rest}"))
    })
}

/// The names that clients write, of the name that Argo shows to people: `GPT-4o` is `argo:gpt-4o`. `o3` is known as
/// `argo:gpt-o3` too, and `Claude Opus 4.1` as `argo:claude-4.1-opus`.
pub fn public_names(shown: &str) -> Vec<String> {
    let name = shown.trim().to_lowercase().replace(' ', "-");
    let other = match name.split('-').collect::<Vec<_>>().as_slice() {
        [first, ..] if is_of_o(first) => Some(format!("gpt-{name}")),
        ["claude", family, generation, rest @ ..] if CLAUDES.contains(family) => {
            let moved = [&["claude", generation, family], rest].concat();
            Some(moved.join("-"))
        }
        _ => None,
    };
    let names = [Some(name), other].into_iter().flatten();
    names.map(|name| format!("{PREFIX}{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_model_means_its_id() {
        for (name, expected) in [
            ("argo:gpt-3.5-turbo", "gpt35"),
            ("argo:gpt-3.5-turbo-16k", "gpt35large"),
            ("argo:gpt-4", "gpt4"),
            ("argo:gpt-4-32k", "gpt4large"),
            ("argo:gpt-4-turbo-preview", "gpt4turbo"),
            ("argo:gpt-4o", "gpt4o"),
            ("argo:gpt-o1-preview", "gpto1preview"),
            ("argo:gpt-o1-mini", "gpto1mini"),
            ("argo:gpt-o3-mini", "gpto3mini"),
            ("argo:o3-mini", "gpto3mini"),
            ("argo:text-embedding-ada-002", "ada002"),
            ("argo:text-embedding-3-small", "v3small"),
            ("argo:text-embedding-3-large", "v3large"),
            ("gpt4o", "gpt4o"),
            ("gpt-4.1-mini", "gpt41mini"),
            ("argo:claude-opus-4.1", "claudeopus41"),
            ("argo:claude-4.1-opus", "claudeopus41"),
            ("argo:claude-3.5-sonnet-v2", "claudesonnet35v2"),
            ("argo:claude-sonnet-3.5-v2", "claudesonnet35v2"),
            ("argo:gemini-2.5-pro", "gemini25pro"),
            ("argo:gpt-4-turbo", "gpt4turbo"),
            ("argo:gpt4o", "gpt4o"),
            ("argo:gpt-o1", "gpto1"),
            ("argo:o4-mini", "gpto4mini"),
            ("GPT-3.5 Turbo 16k", "gpt35large"),
            ("GPT-4o", "gpt4o"),
            ("o3 Mini", "gpto3mini"),
            ("Claude Sonnet 3.5 v2", "claudesonnet35v2"),
            ("Text-Embedding-3-Small", "v3small"),
            // Models that came later.
            ("argo:gpt-6.1-mini", "gpt61mini"),
            ("argo:o5-mini", "gpto5mini"),
            ("argo:gpt-o5-mini", "gpto5mini"),
            ("argo:claude-opus-5.2", "claudeopus52"),
            ("argo:claude-5.2-opus", "claudeopus52"),
            ("argo:gemini-4-pro", "gemini4pro"),
            // What may be an id, or no model at all.
            ("argo:something-new", "something-new"),
            ("claude-next", "claude-next"),
            ("gpt-6", "gpt-6"),
            ("argo:", ""),
            ("argo:ollama", "ollama"),
            ("", ""),
        ] {
            assert_eq!(id(name), expected, "{name}");
        }
        for known in IDS.iter().chain(NAMED.iter().map(|(id, _)| id)) {
            assert_eq!(id(known), *known);
        }
    }

    #[test]
    fn names_for_people_become_names_for_programs() {
        for (shown, names, expected) in [
            ("GPT-3.5 Turbo", &["argo:gpt-3.5-turbo"][..], "gpt35"),
            (" GPT-4o ", &["argo:gpt-4o"], "gpt4o"),
            (
                "o3-mini",
                &["argo:o3-mini", "argo:gpt-o3-mini"],
                "gpto3mini",
            ),
            (
                "Claude Opus 4.1",
                &["argo:claude-opus-4.1", "argo:claude-4.1-opus"],
                "claudeopus41",
            ),
            (
                "Claude Sonnet 3.5 v2",
                &["argo:claude-sonnet-3.5-v2", "argo:claude-3.5-sonnet-v2"],
                "claudesonnet35v2",
            ),
            ("Claude Opus", &["argo:claude-opus"], "claudeopus"),
            ("Other", &["argo:other"], "other"),
        ] {
            assert_eq!(public_names(shown), names, "{shown}");
            for name in names {
                assert_eq!(id(name), expected, "{name}");
            }
        }
    }

    #[test]
    fn the_first_that_reasoned_know_no_system_role() {
        for (name, expected) in [
            ("argo:gpt-o1-preview", true),
            ("argo:o1-mini", true),
            ("gpto1mini", true),
            ("argo:gpt-o1", false),
            ("argo:gpt-o3-mini", false),
            ("argo:o4-mini", false),
            ("argo:gpt-4o", false),
            ("argo:gpt-4.1-mini", false),
        ] {
            assert_eq!(knows_no_system(&id(name)), expected, "{name}");
        }
    }

    #[test]
    fn how_words_are_picked_is_not_every_models_to_be_told() {
        for (name, expected) in [
            ("argo:gpt-5", Sampling::AsItIs),
            ("argo:gpt-5-mini", Sampling::AsItIs),
            ("gpt5nano", Sampling::AsItIs),
            ("argo:gpt-5.5", Sampling::AsItIs),
            ("argo:gpt-5.1", Sampling::Any),
            ("argo:gpt-4.1", Sampling::Any),
            ("argo:o3", Sampling::Any),
            ("argo:gemini-2.5-pro", Sampling::Any),
            ("argo:claude-4.7-opus", Sampling::Nothing),
            ("argo:claude-opus-4.1", Sampling::Any),
            ("argo:claude-opus-4.6", Sampling::OneOfBoth),
            ("argo:claude-haiku-4.5", Sampling::OneOfBoth),
            ("something-new", Sampling::Any),
        ] {
            assert_eq!(Sampling::of(&id(name)), expected, "{name}");
        }
    }
}
