//! How Claude's models may be told to sample, by Anthropic's API and by Bedrock's. (platform.claude.com, Extended thinking,
//! "Feature compatibility", read 2026-11; what users report of later models, see `samples_by_itself`.)

use serde_json::{Number, Value, json};

use super::thinking::samples_by_itself;
use crate::wire::translate::Dropped;
use crate::wire::translate::canonical::{Request, is_default};

/// Least `top_p` beside thinking.
const LEAST_TOP_P: f64 = 0.95;

/// What of a request's sampling is said to a model.
#[derive(Debug, PartialEq, Default)]
pub(in crate::wire::translate) struct Sampling {
    pub temperature: Option<Value>,
    pub top_p: Option<Value>,
    pub top_k: Option<Value>,
}

impl Sampling {
    /// For Claude's. Beside thinking a temperature and `top_k` are refused, and of `top_p` all but the highest; without, newer
    /// models take temperature or `top_p`, and the newest neither.
    pub(in crate::wire::translate) fn of_claude(
        request: &mut Request,
        thinks: bool,
        dropped: &mut Dropped,
    ) -> Self {
        let (temperature, top_p, top_k) = taken(request);
        let is_free = !samples_by_itself(&request.model);
        let has_temperature = temperature.is_some();
        let may_say_top_p = |top_p: &Number| match thinks {
            true => top_p
                .as_f64()
                .is_some_and(|share| (LEAST_TOP_P..=1.0).contains(&share)),
            false => !has_temperature,
        };
        let mut kept = |name, given: Option<Number>, may_be_said: bool| match given {
            Some(given) if may_be_said => Some(given),
            Some(given) if name == "top_k" || !is_default(&given) => {
                dropped.add(name);
                None
            }
            Some(_) | None => None,
        };
        let may_say_top_p = is_free && top_p.as_ref().is_some_and(may_say_top_p);
        let temperature = kept("temperature", temperature, is_free && !thinks);
        let top_k = kept("top_k", top_k, is_free && !thinks);
        let top_p = kept("top_p", top_p, may_say_top_p);
        Self {
            temperature: temperature.map(|given| in_range(given, dropped)),
            top_p: top_p.map(Value::Number),
            top_k: top_k.map(Value::Number),
        }
    }

    /// For other makers' models by `converse`, which has no `top_k`.
    pub(in crate::wire::translate) fn of_others(
        request: &mut Request,
        dropped: &mut Dropped,
    ) -> Self {
        let (temperature, top_p, top_k) = taken(request);
        if top_k.is_some() {
            dropped.add("top_k");
        }
        Self {
            temperature: temperature.map(|given| in_range(given, dropped)),
            top_p: top_p.map(Value::Number),
            top_k: None,
        }
    }
}

fn taken(request: &mut Request) -> (Option<Number>, Option<Number>, Option<Number>) {
    (
        request.temperature.take(),
        request.top_p.take(),
        request.top_k.take(),
    )
}

/// Temperatures end at 1 here, and at 2 elsewhere.
fn in_range(given: Number, dropped: &mut Dropped) -> Value {
    if given.as_f64().is_some_and(|degrees| 1.0 < degrees) {
        dropped.add("temperature");
        return json!(1);
    }
    Value::Number(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLDER: &str = "claude-sonnet-4-5";
    const NEWEST: &str = "claude-opus-4-7";

    /// What is said of temperature, `top_p` and `top_k`, and what is named as dropped.
    #[track_caller]
    fn check(model: &str, thinks: bool, asked: [Value; 3], said: [Value; 3], names: &[&str]) {
        let number = |value: &Value| value.as_number().cloned();
        let mut request = Request {
            model: model.to_owned(),
            temperature: number(&asked[0]),
            top_p: number(&asked[1]),
            top_k: number(&asked[2]),
            ..Request::default()
        };
        let mut dropped = Dropped::default();
        let sampling = Sampling::of_claude(&mut request, thinks, &mut dropped);
        let got = [sampling.temperature, sampling.top_p, sampling.top_k];
        assert_eq!(got.map(Option::unwrap_or_default), said, "{asked:?}");
        assert_eq!(dropped.into_fields(), names, "{asked:?}");
    }

    #[test]
    fn without_thinking() {
        let none = || json!(null);
        for (model, asked, said, names) in [
            (
                OLDER,
                [json!(0.5), none(), json!(5)],
                [json!(0.5), none(), json!(5)],
                &[][..],
            ),
            (
                OLDER,
                [none(), json!(0.5), none()],
                [none(), json!(0.5), none()],
                &[],
            ),
            (
                OLDER,
                [json!(0.5), json!(0.5), none()],
                [json!(0.5), none(), none()],
                &["top_p"],
            ),
            (
                OLDER,
                [json!(1.5), json!(1), none()],
                [json!(1), none(), none()],
                &["temperature"],
            ),
            (
                NEWEST,
                [json!(0.5), json!(0.99), json!(5)],
                [none(), none(), none()],
                &["temperature", "top_k", "top_p"],
            ),
            (
                NEWEST,
                [json!(1), json!(1.0), none()],
                [none(), none(), none()],
                &[],
            ),
        ] {
            check(model, false, asked, said, names);
        }
    }

    #[test]
    fn beside_thinking() {
        let none = || json!(null);
        for (top_p, is_kept) in [
            (json!(0.949), false),
            (json!(0.95), true),
            (json!(0.99), true),
            (json!(1), true),
            (json!(0), false),
            (json!(1.5), false),
            (json!(-1), false),
        ] {
            let (said, names): (_, &[&str]) = match is_kept {
                true => (top_p.clone(), &[]),
                false => (none(), &["top_p"]),
            };
            let asked = [json!(1), top_p, none()];
            check(OLDER, true, asked, [none(), said, none()], names);
        }
        check(
            OLDER,
            true,
            [json!(0.5), none(), json!(5)],
            [none(), none(), none()],
            &["temperature", "top_k"],
        );
        check(
            NEWEST,
            true,
            [none(), json!(0.99), none()],
            [none(), none(), none()],
            &["top_p"],
        );
    }
}
