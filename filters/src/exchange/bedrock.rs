//! Where the texts stand in what Bedrock says. An event of its streams is seen by filters as one JSON object: of
//! `converse-stream` it has one member, the event's type with its payload; of `invoke-with-response-stream` it is what
//! the model's maker sends.
use super::json;

/// The raw strings in the contents of a `converse` request: `system`, or `messages`.
pub(super) fn in_request_member<'a>(key: &str, value: &'a str) -> Vec<&'a str> {
    let items = json::items(value).unwrap_or_default().into_iter();
    if json::key_is(key, "system") {
        in_blocks(items).collect()
    } else if json::key_is(key, "messages") {
        let contents = items.filter_map(|message| json::items(json::member(message, "content")?));
        contents.flat_map(in_blocks_and_results).collect()
    } else {
        Vec::new()
    }
}

fn in_blocks<'a>(blocks: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    let blocks = blocks.into_iter();
    blocks.filter_map(|block| json::member(block, "text"))
}

fn in_blocks_and_results(blocks: Vec<&str>) -> Vec<&str> {
    let texts = blocks.into_iter().flat_map(|block| {
        let result = json::member(block, "toolResult");
        let result = result.and_then(|result| json::items(json::member(result, "content")?));
        in_blocks([block]).chain(in_blocks(result.unwrap_or_default()))
    });
    texts.collect()
}

/// The raw strings of a whole `converse` answer, with the numbers of their blocks.
pub(super) fn in_answer(answer: &str) -> Vec<(u64, &str)> {
    let blocks = json::member(answer, "output")
        .and_then(|output| json::member(output, "message"))
        .and_then(|message| json::items(json::member(message, "content")?));
    let blocks = blocks.unwrap_or_default().into_iter().enumerate();
    let texts = blocks.filter_map(|(at, block)| Some((at as u64, json::member(block, "text")?)));
    texts.collect()
}

/// The raw string that an event of `converse-stream` adds, with the number of its block.
pub(super) fn in_delta(event: &str) -> Option<(u64, &str)> {
    let payload = json::member(event, "contentBlockDelta")?;
    let text = json::member(json::member(payload, "delta")?, "text")?;
    Some((block_of(payload), text))
}

/// The block that is complete with an event of `converse-stream`.
pub(super) fn ended_block(event: &str) -> Option<u64> {
    json::member(event, "contentBlockStop").map(block_of)
}

fn block_of(payload: &str) -> u64 {
    let index = json::member(payload, "contentBlockIndex");
    index.and_then(|raw| raw.parse().ok()).unwrap_or(0)
}

/// The type of an event of `converse-stream`, or of the exception that either stream may end with.
pub(super) fn event_type(event: &str) -> Option<&str> {
    let (key, _) = json::members(event)?.into_iter().next()?;
    key.strip_prefix('"')?.strip_suffix('"')
}

/// Whether an event reports that the stream has failed.
pub(super) fn is_exception(event: &str) -> bool {
    event_type(event).is_some_and(|kind| kind.ends_with("Exception"))
}
