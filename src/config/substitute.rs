//! `${NAME}` and `${NAME:-default}` in the values of a tree that is read already: what a variable holds stays
//! text, whatever YAML it looks like. `$${` is a plain `${`.

use super::environment::Environment;
use super::problem::Problem;
use super::section::join;
use super::tree::{Node, Value};

/// Replaces every reference below `node`; missing variables are added to `problems`.
pub(super) fn substitute(
    node: &mut Node,
    path: &str,
    environment: &Environment,
    problems: &mut Vec<Problem>,
) {
    match &mut node.value {
        Value::Text { text, quoted } if text.contains("${") => match expand(text, environment) {
            Ok((text, referred)) => {
                node.value = if referred {
                    Value::Open {
                        text,
                        quoted: *quoted,
                    }
                } else {
                    Value::Text {
                        text,
                        quoted: *quoted,
                    }
                };
            }
            Err(message) => {
                problems.push(Problem {
                    origin: node.origin.clone(),
                    path: path.to_owned(),
                    message,
                });
                node.value = Value::Null;
            }
        },
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                substitute(item, &format!("{path}[{index}]"), environment, problems);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                substitute(
                    &mut entry.node,
                    &join(path, &entry.key),
                    environment,
                    problems,
                );
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Text { .. }
        | Value::Open { .. } => {}
    }
}

/// The text with its references replaced, and whether there was one.
fn expand(text: &str, environment: &Environment) -> Result<(String, bool), String> {
    let mut expanded = String::with_capacity(text.len());
    let mut referred = false;
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = behind;
            continue;
        }
        expanded.push_str(before);
        let Some((reference, behind)) = behind.split_once('}') else {
            return Err("`${` without its `}`; write `$${` for a plain `${`".to_owned());
        };
        expanded.push_str(&resolve(reference, environment)?);
        referred = true;
        rest = behind;
    }
    expanded.push_str(rest);
    Ok((expanded, referred))
}

/// What `NAME` or `NAME:-default` stands for; as in a shell, the default also stands in for an empty variable.
fn resolve(reference: &str, environment: &Environment) -> Result<String, String> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    if !is_name(name) {
        return Err(
            "`${…}` takes a variable name of letters, digits and `_`, or `NAME:-default`; write `$${` for a plain `${`"
                .to_owned(),
        );
    }
    let value = environment
        .lookup(name)
        .map_err(|problem| problem.to_string())?;
    match (value, default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (Some(_) | None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(format!(
            "the environment variable {name} is not set; set it, or give a default with `${{{name}:-…}}`"
        )),
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        [
            ("A", "one"),
            ("EMPTY", ""),
            ("YAML", "x\nserver: {port: 1}"),
        ]
        .into_iter()
        .collect()
    }

    #[test]
    fn references_become_text() {
        for (text, expected) in [
            ("${A}", "one"),
            ("-${A}-${A}-", "-one-one-"),
            ("${B:-two}", "two"),
            ("${B:-}", ""),
            ("${EMPTY:-two}", "two"),
            ("${EMPTY}", ""),
            ("${B:-a:-b}", "a:-b"),
            ("$${A}", "${A}"),
            ("$A $ {A} $", "$A $ {A} $"),
            ("${YAML}", "x\nserver: {port: 1}"),
        ] {
            let expanded = expand(text, &environment()).map(|(text, _)| text);
            assert_eq!(expanded, Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn wrong_references_are_problems() {
        for (text, part) in [
            ("${B}", "variable B is not set"),
            ("${A", "without its `}`"),
            ("${}", "takes a variable name"),
            ("${1A}", "takes a variable name"),
            ("${A b}", "takes a variable name"),
        ] {
            let message = expand(text, &environment()).expect_err(text);
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
