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
    /// OpenAI's that reason from the first generation on, `o1` to `o4`: they know no system role.
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

/// The id of a model by any of its names. A name that is none of them stays, so that Argo says what it thinks of it:
/// never another model than the one asked for.
pub fn id(name: &str) -> String {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    if let Some((id, _)) = NAMED
        .iter()
        .find(|(id, known)| *known == name || *id == name)
    {
        return (*id).to_owned();
    }
    let plain: String = name
        .chars()
        .filter(|sign| !matches!(sign, '-' | '.' | ' '))
        .flat_map(char::to_lowercase)
        .collect();
    let of_o = format!("gpt{plain}");
    let candidates = [Some(plain.clone()), family_first(&plain), Some(of_o)];
    let known = candidates
        .into_iter()
        .flatten()
        .find(|candidate| IDS.contains(&&**candidate));
    known.unwrap_or_else(|| name.to_owned())
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

/// The name that clients write, of the name that Argo shows to people: `GPT-4o` is `argo:gpt-4o`.
pub fn public_name(shown: &str) -> String {
    format!("{PREFIX}{}", shown.trim().to_lowercase().replace(' ', "-"))
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
            ("argo:something-new", "something-new"),
            ("claude-next", "claude-next"),
        ] {
            assert_eq!(id(name), expected, "{name}");
        }
        for known in IDS.iter().chain(NAMED.iter().map(|(id, _)| id)) {
            assert_eq!(id(known), *known);
        }
    }

    #[test]
    fn names_for_people_become_names_for_programs() {
        assert_eq!(public_name("GPT-3.5 Turbo"), "argo:gpt-3.5-turbo");
        assert_eq!(id(&public_name("GPT-3.5 Turbo")), "gpt35");
        assert_eq!(id(&public_name("Claude Opus 4.1")), "claudeopus41");
    }
}
