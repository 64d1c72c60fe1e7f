//! The providers, one by one: which kind, where, which keys, and whether it answers.

use std::path::PathBuf;

use crate::config::{Line, ProviderKind, Scalar, Secret, Yaml};
use crate::upstream::transport::{TlsOptions, client_config};

use super::ask::Ask;
use super::kinds::{Form, Own, Setting, own};
use super::reach;
use super::sketch::{Judge, Sketch, number_or_text, put, text, text_of, weight_or_text};

/// Asks for one provider, and for more.
///
/// # Errors
/// The terminal has gone, or the machine has no descriptor left to try a provider with.
pub(super) fn ask(ask: &Ask<'_>, judge: &Judge<'_>, sketch: &mut Sketch) -> anyhow::Result<()> {
    loop {
        let number = sketch.providers.len() + 1;
        ask.say("");
        ask.say(&format!("provider {number}"));
        let own = one(ask, judge, sketch)?;
        let is_kept = reach::is_kept(ask, judge, sketch, own.has_list)?;
        sketch.end_provider(is_kept);
        let is_enough = !sketch.providers.is_empty();
        if is_enough && !ask.yes("another provider", Some(false))? {
            return Ok(());
        }
    }
}

fn one(ask: &Ask<'_>, judge: &Judge<'_>, sketch: &mut Sketch) -> anyhow::Result<&'static Own> {
    let kinds = ProviderKind::words();
    let first = kinds.first().copied().unwrap_or_default();
    ask.say(&format!("kinds: {}", kinds.join(", ")));
    setting(ask, judge, sketch, ("kind", "kind"), first, Form::Text)?;
    let word = sketch.provider.text("kind").to_owned();
    let own = own(&word);
    let name = free_name(sketch, &word);
    setting(ask, judge, sketch, ("name", "name"), &name, Form::Text)?;
    let url = ProviderKind::of_word(&word).and_then(ProviderKind::own_url);
    let url = url.as_ref().map_or("", |url| url.as_str());
    setting(ask, judge, sketch, (own.url, "base_url"), url, Form::Text)?;
    for Setting {
        key,
        prompt,
        form,
        only_with,
    } in own.settings
    {
        let is_wanted = only_with.is_none_or(|other| sketch.provider.has(other));
        match form {
            _ if !is_wanted => {}
            Form::Pairs => pairs(ask, judge, sketch, (prompt, key))?,
            Form::Text | Form::NumberOrWord | Form::Secret(_) => {
                setting(ask, judge, sketch, (prompt, key), "", *form)?;
            }
        }
    }
    if !sketch.provider.text("base_url").starts_with("http:") {
        certificate(ask, judge, sketch)?;
    }
    let no_keys_with = own.no_keys_with;
    if own.has_keys && !no_keys_with.is_some_and(|other| sketch.provider.has(other)) {
        keys(ask, judge, sketch)?;
    }
    Ok(own)
}

/// A name that no other provider has.
fn free_name(sketch: &Sketch, wanted: &str) -> String {
    let is_free = |name: &str| {
        !sketch
            .providers
            .iter()
            .any(|other| other.text("name").eq_ignore_ascii_case(name))
    };
    let numbered = (2..).map(|number| format!("{wanted}-{number}"));
    let mut all = std::iter::once(wanted.to_owned()).chain(numbered);
    all.find(|name| is_free(name)).unwrap_or_default()
}

/// Asks for one setting of the last provider until it is right.
fn setting(
    ask: &Ask<'_>,
    judge: &Judge<'_>,
    sketch: &mut Sketch,
    (prompt, key): (&str, &str),
    default: &str,
    form: Form,
) -> anyhow::Result<()> {
    loop {
        let value = match form {
            Form::NumberOrWord => number_or_text(&ask.text(prompt, default)?),
            Form::Text | Form::Pairs => text(&ask.text(prompt, default)?),
            Form::Secret(variable) => secret(ask.hidden(prompt)?, variable),
        };
        let path = sketch.provider_path();
        put(&mut sketch.provider.lines, key, value);
        match judge.objection(sketch, &[&format!("{path}.{key}")]) {
            Some(objection) => ask.say(&objection),
            None => return Ok(()),
        }
    }
}

/// A credential; an empty one is none.
fn secret(answer: String, variable: &str) -> Option<Yaml> {
    let secret = || {
        Yaml::One(Scalar::Secret(
            Secret::new(answer.as_str()),
            variable.to_owned(),
        ))
    };
    (!answer.is_empty()).then(secret)
}

/// Asks for names with a value each until nothing is answered.
fn pairs(
    ask: &Ask<'_>,
    judge: &Judge<'_>,
    sketch: &mut Sketch,
    (prompt, key): (&str, &str),
) -> anyhow::Result<()> {
    let mut all: Vec<Line> = Vec::new();
    loop {
        let answer = ask.text(prompt, "")?;
        if answer.is_empty() {
            return Ok(());
        }
        let Some((name, value)) = answer.split_once('=') else {
            ask.say("expected two names with `=` between them");
            continue;
        };
        let mut tried = all.clone();
        let value = Yaml::One(Scalar::Text(value.trim().to_owned()));
        put(&mut tried, name.trim(), Some(value));
        let path = sketch.provider_path();
        let path = format!("{path}.{key}");
        put(
            &mut sketch.provider.lines,
            key,
            Some(Yaml::Section(tried.clone())),
        );
        match judge.objection(sketch, &[&path]) {
            Some(objection) => {
                ask.say(&objection);
                let before = (!all.is_empty()).then(|| Yaml::Section(all.clone()));
                put(&mut sketch.provider.lines, key, before);
            }
            None => all = tried,
        }
    }
}

/// Asks for a certificate that is trusted besides the system's; it must be one.
fn certificate(ask: &Ask<'_>, judge: &Judge<'_>, sketch: &mut Sketch) -> anyhow::Result<()> {
    let question = ("extra CA certificate, a PEM file (empty: none)", "ca_cert");
    loop {
        setting(ask, judge, sketch, question, "", Form::Text)?;
        let file = sketch.provider.text("ca_cert").to_owned();
        let options = TlsOptions {
            ca_cert: (!file.is_empty()).then(|| judge.environment.expand_home(&file)),
            client_identity: None::<(PathBuf, PathBuf)>,
        };
        match client_config(&options) {
            Ok(_) => return Ok(()),
            Err(error) => ask.say(&error.to_string()),
        }
    }
}

/// Asks for keys, each with its name, and where there are several with its weight.
fn keys(ask: &Ask<'_>, judge: &Judge<'_>, sketch: &mut Sketch) -> anyhow::Result<()> {
    loop {
        let index = sketch.provider.keys.len();
        let prompt = match index {
            0 => "key, not shown (empty: each client sends its own)",
            _ => "key, not shown (empty: no more)",
        };
        let key = ask.hidden(prompt)?;
        if key.is_empty() {
            return Ok(());
        }
        let path = sketch.provider_path();
        let path = format!("{path}.api_keys");
        let mut lines = Vec::new();
        put(&mut lines, "key", secret(key, "KEY"));
        sketch.provider.keys.push(lines);
        if let Some(objection) = judge.objection(sketch, &[&path]) {
            ask.say(&objection);
            sketch.provider.keys.truncate(index);
            continue;
        }
        let name = format!("key-{}", index + 1);
        let question = ("its name in the record", "name");
        key_setting(ask, judge, sketch, (index, &path), question, (&name, text))?;
        weights(ask, judge, sketch, &path)?;
        if !ask.yes("another key", Some(false))? {
            return Ok(());
        }
    }
}

/// Asks for the weights that were not asked for yet; one key alone has none.
fn weights(
    ask: &Ask<'_>,
    judge: &Judge<'_>,
    sketch: &mut Sketch,
    path: &str,
) -> anyhow::Result<()> {
    let keys = &sketch.provider.keys;
    if keys.len() < 2 {
        return Ok(());
    }
    let names: Vec<String> = keys
        .iter()
        .map(|lines| text_of(lines, "name").to_owned())
        .collect();
    for (index, name) in names.iter().enumerate() {
        let lines = sketch.provider.keys.get(index);
        if lines.is_some_and(|lines| text_of(lines, "weight").is_empty()) {
            let prompt = format!("weight of {name}");
            let question = (&*prompt, "weight");
            let answer = ("1", weight_or_text as fn(&str) -> Option<Yaml>);
            key_setting(ask, judge, sketch, (index, path), question, answer)?;
        }
    }
    Ok(())
}

/// Asks for one setting of a key until it is right.
fn key_setting(
    ask: &Ask<'_>,
    judge: &Judge<'_>,
    sketch: &mut Sketch,
    (index, path): (usize, &str),
    (prompt, key): (&str, &str),
    (default, written): (&str, fn(&str) -> Option<Yaml>),
) -> anyhow::Result<()> {
    loop {
        let answer = ask.text(prompt, default)?;
        if let Some(lines) = sketch.provider.keys.get_mut(index) {
            put(lines, key, written(&answer));
        }
        match judge.objection(sketch, &[&format!("{path}[{index}].{key}")]) {
            Some(objection) => ask.say(&objection),
            None => return Ok(()),
        }
    }
}
