//! Bytes as the one array that a stream of Gemini's is without `alt=sse`, and events made such an array.

use aiproxy::wire::gemini::array::{self, ArrayWatch, ArrayWriter};
use aiproxy::wire::sse::SseDecoder;

use super::input::Chunked;

const EVENT_BYTES: usize = 1 << 20;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Whatever the chunks: the same end, and the same errors. Items become events and items again without a byte lost, and events become the
/// same items one by one as all at once.
pub(super) fn check(input: &Chunked<'_>) {
    let (is_open, has_error) = seen(&[input.whole]);
    let in_chunks = seen(&input.chunks(input.whole));
    assert_eq!(in_chunks, (is_open, has_error));
    if let Some(events) = array::to_events(input.whole) {
        assert!(!is_open);
        assert_eq!(tokens(&array::of_events(&events)), tokens(input.whole));
    }
    // Events of ours have no mark at their beginning; of others' the first one alone may.
    if !input.whole.windows(BOM.len()).any(|bytes| bytes == BOM) {
        one_by_one(input.whole);
    }
}

/// Whether an array did not end, and whether an item of it is an error.
fn seen(chunks: &[&[u8]]) -> (bool, bool) {
    let mut watch = ArrayWatch::default();
    chunks.iter().for_each(|chunk| watch.see(chunk));
    (watch.is_open(), watch.has_error())
}

/// JSON without its blanks: no text of it holds the ends of lines, which alone may change.
fn tokens(json: &[u8]) -> Vec<u8> {
    let mut tokens = json.to_vec();
    tokens.retain(|byte| !byte.is_ascii_whitespace());
    tokens
}

fn one_by_one(stream: &[u8]) {
    let mut decoder = SseDecoder::new(EVENT_BYTES);
    let mut events = Vec::new();
    decoder.push(stream, &mut events).expect("short events");
    decoder.finish(&mut events).expect("short events");
    let mut writer = ArrayWriter::default();
    let mut written = Vec::new();
    for event in &events {
        let made = writer.events(&event.raw);
        // What keeps a connection awake.
        if made != b"\n" {
            written.extend(made);
        }
    }
    written.extend_from_slice(writer.end());
    assert_eq!(written, array::of_events(stream));
}
