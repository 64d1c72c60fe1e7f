//! Where the texts of Gemini's bodies stand: the `text` of parts, of contents, of candidates. Parts that are thoughts
//! are no text of the answer.
use super::json;

/// The prompt texts in a top-level member of a request.
pub(super) fn in_request_member<'a>(key: &str, value: &'a str) -> Vec<&'a str> {
    let is = |name| json::key_is(key, name);
    if is("contents") || is("content") || is("systemInstruction") || is("system_instruction") {
        in_contents(value)
    } else if is("requests") {
        let requests = json::items(value).unwrap_or_default();
        let contents = requests
            .into_iter()
            .filter_map(|request| json::member(request, "content"));
        contents.flat_map(in_contents).collect()
    } else if is("generateContentRequest") || is("generate_content_request") {
        let members = json::members(value).unwrap_or_default();
        let members = members
            .into_iter()
            .filter(|(key, _)| !json::key_is(key, "generateContentRequest"));
        members
            .flat_map(|(key, value)| in_request_member(key, value))
            .collect()
    } else {
        Vec::new()
    }
}

/// A text, a content, or a list of them.
fn in_contents(value: &str) -> Vec<&str> {
    match json::items(value) {
        Some(contents) => contents.into_iter().flat_map(in_content).collect(),
        None => in_content(value),
    }
}

fn in_content(content: &str) -> Vec<&str> {
    match content.starts_with('"') {
        true => vec![content],
        false => texts_of_parts(content)
            .chain(results_in_parts(content))
            .collect(),
    }
}

/// The raw strings in the results of functions, at the top of each `response`.
fn results_in_parts(content: &str) -> impl Iterator<Item = &str> {
    let parts = json::member(content, "parts").and_then(json::items);
    let results = parts.unwrap_or_default().into_iter().filter_map(|part| {
        let result = json::member(part, "functionResponse")?;
        json::members(json::member(result, "response")?)
    });
    let values = results.flatten().map(|(_, value)| value);
    values.filter(|value| value.starts_with('"'))
}

/// The raw strings of the parts of a content that are text, thoughts left out.
pub(super) fn texts_of_parts(content: &str) -> impl Iterator<Item = &str> {
    let parts = json::member(content, "parts").unwrap_or_default();
    // One part may stand without its list.
    let parts = json::items(parts).unwrap_or_else(|| vec![parts]);
    parts.into_iter().filter_map(|part| {
        let members = json::members(part)?;
        let is_thought = json::find(&members, "thought") == Some("true");
        json::find(&members, "text").filter(|_| !is_thought)
    })
}

/// The raw strings of an answer, whole or a chunk of it, with the numbers of their candidates.
pub(super) fn in_candidates(answer: &str) -> Vec<(u64, &str)> {
    let mut texts = Vec::new();
    for (number, candidate) in candidates(answer) {
        if let Some(content) = json::member(candidate, "content") {
            texts.extend(texts_of_parts(content).map(|text| (number, text)));
        }
    }
    texts
}

/// The candidates of an answer with their numbers.
pub(super) fn candidates(answer: &str) -> impl Iterator<Item = (u64, &str)> {
    let candidates = json::member(answer, "candidates").and_then(json::items);
    let candidates = candidates.unwrap_or_default().into_iter().enumerate();
    candidates.map(|(at, candidate)| {
        let number = json::member(candidate, "index").and_then(|raw| raw.parse().ok());
        (number.unwrap_or(at as u64), candidate)
    })
}
