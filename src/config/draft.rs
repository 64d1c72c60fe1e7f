//! A configuration that is about to be written: keys, values and comments, as YAML. Credentials are written, masked, or
//! left to variables, as the place where they go allows.

use super::printable;
use super::secret::{Secret, mask_url};

/// A configuration to be written.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// What is said at the top, a line each.
    pub head: Vec<String>,
    /// Its sections.
    pub lines: Vec<Line>,
}

/// A key with its value.
#[derive(Debug, Clone)]
pub struct Line {
    /// What is said above it, a line each.
    pub comments: Vec<String>,
    /// The key.
    pub key: String,
    /// The value.
    pub value: Yaml,
}

/// What YAML can say here.
#[derive(Debug, Clone)]
pub enum Yaml {
    /// One value.
    One(Scalar),
    /// A list on one line.
    Flow(Vec<Scalar>),
    /// A section.
    Section(Vec<Line>),
    /// A list of sections; none is empty.
    Sections(Vec<Vec<Line>>),
}

/// One value.
#[derive(Debug, Clone)]
pub enum Scalar {
    /// A number, a word or the like, as it is written.
    Plain(String),
    /// Text, quoted where it must be.
    Text(String),
    /// A credential, and the variable that stands for it where it is not written.
    Secret(Secret, String),
    /// A URL that may hold a credential, and its variable.
    SecretUrl(Secret, String),
    /// `${…}`: what stands between the braces.
    Reference(String),
}

/// How credentials are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// As they are: for a file that only its owner may read.
    Written,
    /// As variables.
    Referred,
    /// As [`super::mask`] and [`super::mask_url`] show them: for a person to look at.
    Masked,
}

// === impl Draft ===

impl Draft {
    /// The YAML.
    pub fn yaml(&self, secrets: Secrets) -> String {
        let mut yaml = String::new();
        push_comments(&mut yaml, &self.head, "");
        let variables = self.variables(secrets);
        if !variables.is_empty() && secrets != Secrets::Masked {
            let said = format!("Variables to set: {}", variables.join(", "));
            push_comments(&mut yaml, &[said], "");
        }
        push_lines(&mut yaml, &self.lines, 0, secrets);
        yaml
    }

    /// The variables that are referred to, in their order, each once.
    fn variables(&self, secrets: Secrets) -> Vec<&str> {
        let mut names = Vec::new();
        collect_variables(&self.lines, secrets, &mut names);
        names
    }
}

fn collect_variables<'a>(lines: &'a [Line], secrets: Secrets, names: &mut Vec<&'a str>) {
    let mut add = |scalar: &'a Scalar| {
        let name = match scalar {
            Scalar::Secret(_, name) | Scalar::SecretUrl(_, name) if secrets != Secrets::Written => {
                name.as_str()
            }
            Scalar::Reference(name) => name.split(":-").next().unwrap_or_default(),
            Scalar::Secret(..) | Scalar::SecretUrl(..) | Scalar::Plain(_) | Scalar::Text(_) => {
                return;
            }
        };
        if !names.contains(&name) {
            names.push(name);
        }
    };
    for line in lines {
        match &line.value {
            Yaml::One(scalar) => add(scalar),
            Yaml::Flow(scalars) => scalars.iter().for_each(&mut add),
            Yaml::Section(_) | Yaml::Sections(_) => {}
        }
    }
    for line in lines {
        match &line.value {
            Yaml::Section(inner) => collect_variables(inner, secrets, names),
            Yaml::Sections(all) => all
                .iter()
                .for_each(|inner| collect_variables(inner, secrets, names)),
            Yaml::One(_) | Yaml::Flow(_) => {}
        }
    }
}

// === impl Line ===

impl Line {
    /// A key with a value.
    pub fn new(key: impl Into<String>, value: Yaml) -> Self {
        Self {
            comments: Vec::new(),
            key: key.into(),
            value,
        }
    }

    /// A key with text.
    pub fn text(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(key, Yaml::One(Scalar::Text(text.into())))
    }

    /// A key with a number, or a word of ours.
    pub fn plain(key: impl Into<String>, value: impl ToString) -> Self {
        Self::new(key, Yaml::One(Scalar::Plain(value.to_string())))
    }

    /// The same with a comment above it.
    pub fn saying(mut self, comment: impl Into<String>) -> Self {
        self.comments.push(comment.into());
        self
    }
}

fn push_comments(yaml: &mut String, comments: &[String], indent: &str) {
    for comment in comments {
        yaml.push_str(indent);
        yaml.push_str("# ");
        yaml.push_str(&printable(comment));
        yaml.push('\n');
    }
}

fn push_lines(yaml: &mut String, lines: &[Line], depth: usize, secrets: Secrets) {
    let indent = "  ".repeat(depth);
    for line in lines {
        push_comments(yaml, &line.comments, &indent);
        yaml.push_str(&indent);
        yaml.push_str(&quoted(&line.key));
        yaml.push(':');
        match &line.value {
            Yaml::One(scalar) => {
                yaml.push(' ');
                yaml.push_str(&scalar.yaml(secrets));
                yaml.push('\n');
            }
            Yaml::Flow(scalars) => {
                let items: Vec<String> = scalars.iter().map(|one| one.yaml(secrets)).collect();
                yaml.push_str(&format!(" [{}]\n", items.join(", ")));
            }
            Yaml::Section(inner) if inner.is_empty() => yaml.push_str(" {}\n"),
            Yaml::Section(inner) => {
                yaml.push('\n');
                push_lines(yaml, inner, depth + 1, secrets);
            }
            Yaml::Sections(sections) if sections.is_empty() => yaml.push_str(" []\n"),
            Yaml::Sections(sections) => {
                yaml.push('\n');
                for section in sections {
                    push_item(yaml, section, depth + 1, secrets);
                }
            }
        }
    }
}

/// A section as a member of a list: its comments, then its first key behind the dash.
fn push_item(yaml: &mut String, section: &[Line], depth: usize, secrets: Secrets) {
    let indent = "  ".repeat(depth);
    let mut section = section.to_vec();
    if let Some(first) = section.first_mut() {
        push_comments(yaml, &first.comments, &indent);
        first.comments.clear();
    }
    let mut inner = String::new();
    push_lines(&mut inner, &section, depth + 1, secrets);
    yaml.push_str(&indent);
    yaml.push_str("- ");
    yaml.push_str(inner.trim_start());
}

// === impl Scalar ===

impl Scalar {
    /// What tells it from another one; a credential's is the credential, for comparing alone.
    pub(super) fn same(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Text(text) | Self::Reference(text) => text,
            Self::Secret(secret, _) | Self::SecretUrl(secret, _) => secret.expose(),
        }
    }

    fn yaml(&self, secrets: Secrets) -> String {
        match (self, secrets) {
            (Self::Plain(value), _) => value.clone(),
            (Self::Text(text), _) => quoted(text),
            (Self::Reference(name), _) => format!("\"${{{name}}}\""),
            (Self::Secret(secret, _) | Self::SecretUrl(secret, _), Secrets::Written) => {
                quoted(secret.expose())
            }
            (Self::Secret(_, name) | Self::SecretUrl(_, name), Secrets::Referred) => {
                format!("\"${{{name}}}\"")
            }
            (Self::Secret(secret, _), Secrets::Masked) => quoted(&secret.masked()),
            (Self::SecretUrl(secret, _), Secrets::Masked) => quoted(&mask_url(secret.expose())),
        }
    }
}

/// Text as YAML: as it is where it can be nothing else, else between quotes. `${` stays plain text.
fn quoted(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.ends_with(':')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/_.:-".contains(c));
    let is_word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word));
    if is_plain && !is_word {
        return text.to_owned();
    }
    let json = serde_json::Value::from(text.replace("${", "$${")).to_string();
    // JSON lets characters stand that YAML forbids or folds.
    json.chars().fold(String::new(), |mut yaml, c| {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') {
            yaml.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            yaml.push(c);
        }
        yaml
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tree::parse;
    use super::*;

    fn secret(text: &str) -> Yaml {
        Yaml::One(Scalar::Secret(Secret::new(text), "A_KEY".to_owned()))
    }

    #[test]
    fn credentials_go_where_they_may() {
        let draft = Draft {
            head: vec!["first\nline".to_owned()],
            lines: vec![Line::new(
                "providers",
                Yaml::Sections(vec![vec![
                    Line::text("name", "a").saying("one"),
                    Line::new(
                        "api_keys",
                        Yaml::Sections(vec![vec![Line::new("key", secret("sk-1${X}"))]]),
                    ),
                ]]),
            )],
        };
        let named = "# Variables to set: A_KEY\n";
        for (secrets, named, key) in [
            (Secrets::Written, "", r#""sk-1$${X}""#),
            (Secrets::Referred, named, r#""${A_KEY}""#),
        ] {
            let expected = format!(
                "# first\\nline\n{named}providers:\n  # one\n  - name: a\n    api_keys:\n      - key: {key}\n"
            );
            assert_eq!(draft.yaml(secrets), expected);
        }
        assert!(!draft.yaml(Secrets::Masked).contains("sk-1"));
        assert_eq!(draft.variables(Secrets::Referred), ["A_KEY"]);
    }

    #[test]
    fn urls_keep_what_is_no_credential() {
        let url = Scalar::SecretUrl(Secret::new("postgres://u:abc@h/d"), "A_URL".to_owned());
        for (secrets, yaml) in [
            (Secrets::Written, r#""postgres://u:abc@h/d""#),
            (Secrets::Referred, r#""${A_URL}""#),
            (Secrets::Masked, r#""postgres://u:***ba7816bf@h/d""#),
        ] {
            assert_eq!(url.yaml(secrets), yaml);
        }
    }

    #[test]
    fn any_text_reads_back_as_itself() {
        for text in [
            "",
            "a",
            "null",
            "True",
            "1e3",
            "0x1",
            "~",
            "a: b",
            "a:",
            "- a",
            "#x",
            "a #b",
            "\"",
            "'",
            "ü\u{85}\u{7f}\t\n",
            "*",
            "http://h:1/v1",
            "2024-10-21",
            "{",
            "[",
            "%",
            "@",
            "`",
            "!x",
            "&x",
            "|",
            ">",
            "\u{2028}",
            "no",
        ] {
            let draft = Draft {
                head: Vec::new(),
                lines: vec![Line::text(text, text)],
            };
            let yaml = draft.yaml(Secrets::Written);
            let root = parse(&Arc::from("a.yaml"), &yaml).expect(&yaml);
            assert_eq!(root.to_json(), serde_json::json!({ text: text }), "{yaml}");
        }
    }
}
