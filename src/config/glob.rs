//! Patterns for names: `*` is any run, `?` one character, everything else itself; upper and lower case differ.

use serde::Serialize;

/// A pattern for model names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Glob(String);

impl Glob {
    /// Every text is a pattern.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `name` fits. Time grows with pattern length times name length at most.
    pub fn matches(&self, name: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.chars(), name.chars());
        // Where to go on when a letter does not fit: behind the last `*`, one character further in the name.
        let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
        loop {
            let here = rest.clone();
            match (pattern.next(), rest.next()) {
                (None, None) => return true,
                (Some('*'), _) => {
                    retry = Some((pattern.clone(), here.clone()));
                    rest = here;
                }
                (Some('?'), Some(_)) => {}
                (Some(wanted), Some(found)) if wanted == found => {}
                (Some(_) | None, _) => {
                    let Some((behind_star, from)) = &mut retry else {
                        return false;
                    };
                    if from.next().is_none() {
                        return false;
                    }
                    pattern = behind_star.clone();
                    rest = from.clone();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn patterns_fit_whole_names() {
        for (pattern, name, fits) in [
            ("*", "", true),
            ("*", "gpt-4o", true),
            ("gpt-*", "gpt-4o", true),
            ("gpt-*", "GPT-4o", false),
            ("gpt-*", "my-gpt-4o", false),
            ("gpt-?", "gpt-4", true),
            ("gpt-?", "gpt-4o", false),
            ("?", "ü", true),
            ("*mini*2024", "gpt-4o-mini-2024-mini-2024", true),
            ("*mini*2024", "gpt-4o-mini-2024-x", false),
            ("a**b", "ab", true),
            ("", "", true),
            ("", "x", false),
            ("[ab]", "a", false),
            ("gpt-4", "gpt-4o", false),
        ] {
            assert_eq!(
                Glob::new(pattern).matches(name),
                fits,
                "{pattern} on {name}"
            );
        }
    }

    #[test]
    fn many_stars_do_not_explode() {
        assert!(!Glob::new("*a".repeat(40) + "b").matches(&"a".repeat(4000)));
    }
}
