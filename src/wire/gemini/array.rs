//! A stream without `alt=sse`: one JSON array whose items come piece by piece. Here it becomes events and an array
//! again, for those who have to look at it as a stream; `watch` tells what an array says that merely passes.

mod watch;

use bytes::Bytes;

use crate::wire::json_reader::{Kind, Reader};
use crate::wire::sse;

pub use self::watch::ArrayWatch;

/// What stands between two items, as Google writes it.
const BETWEEN: &str = ",\r\n";

/// The items of an array as an event stream. `None` when it is no whole array of objects.
pub fn to_events(array: &[u8]) -> Option<Bytes> {
    let text = std::str::from_utf8(array).ok()?;
    let mut reader = Reader::new(text);
    let mut events = Vec::new();
    let mut only_objects = reader.peek().ok()? == Kind::Array;
    let read = reader.array(|reader| {
        only_objects &= reader.peek()? == Kind::Object;
        let item = reader.raw()?;
        // A lone CR ends a line of events too, and would end the event's data in the middle.
        for line in sse::lines(item.as_bytes()) {
            events.extend_from_slice(b"data: ");
            events.extend_from_slice(line);
            events.push(b'\n');
        }
        events.push(b'\n');
        Ok(())
    });
    let whole = read.ok()? && reader.end().is_ok() && only_objects;
    whole.then(|| Bytes::from(events))
}

/// An event stream as one array; events without data are left out.
pub fn of_events(events: &[u8]) -> Bytes {
    let mut writer = ArrayWriter::default();
    let mut array = String::new();
    writer.write(events, &mut array);
    let end = writer.end();
    Bytes::from([array.as_bytes(), end].concat())
}

/// Writes an event stream as one array while it comes.
#[derive(Debug, Default)]
pub struct ArrayWriter {
    has_begun: bool,
}

impl ArrayWriter {
    /// Whole events as items. Comments keep a connection awake as blanks do.
    pub fn events(&mut self, events: &[u8]) -> Vec<u8> {
        let mut made = String::new();
        self.write(events, &mut made);
        if made.is_empty() && !events.is_empty() {
            made.push('\n');
        }
        made.into_bytes()
    }

    fn write(&mut self, events: &[u8], made: &mut String) {
        sse::each_text(events, |_, data| {
            // No item can be nothing.
            if data.is_empty() {
                return;
            }
            let begun = std::mem::replace(&mut self.has_begun, true);
            made.push_str(if begun { BETWEEN } else { "[" });
            made.push_str(data);
        });
    }

    /// What stands behind the last item.
    pub fn end(&self) -> &'static [u8] {
        if self.has_begun { b"]" } else { b"[]" }
    }
}

/// An event as the last item of an array of which whole items are out, and its end.
pub fn last_item(begun: ArrayWatch, event: &[u8]) -> Bytes {
    let has_begun = begun.has_begun();
    let mut writer = ArrayWriter { has_begun };
    let item = writer.events(event);
    Bytes::from([&*item, writer.end()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_become_events_and_arrays_again() {
        let array = "[{\"a\": [1]}\n,\r\n{\n  \"b\": \"x\\n\"\n}\n]\n";
        let events = to_events(array.as_bytes()).expect("an array");
        assert_eq!(
            events,
            "data: {\"a\": [1]}\n\ndata: {\ndata:   \"b\": \"x\\n\"\ndata: }\n\n"
        );
        let again = of_events(&events);
        assert_eq!(again, "[{\"a\": [1]},\r\n{\n  \"b\": \"x\\n\"\n}]");
        let with_cr = to_events(b"[{\r\"a\":1\r\n\r}]").expect("an array");
        assert_eq!(with_cr, "data: {\ndata: \"a\":1\ndata: \ndata: }\n\n");
        assert_eq!(of_events(b""), "[]");
        assert_eq!(of_events(b"data:\n\ndata: {}\n\ndata:\n\n"), "[{}]");
        for wrong in ["", "{}", "[1]", "[{}", "[{}]x", "[\"a\"]"] {
            assert_eq!(to_events(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn events_become_items_as_they_come() {
        let mut writer = ArrayWriter::default();
        let mut made = writer.events(b": ping\n");
        made.extend(writer.events(b"data: {\"a\":1}\n\n"));
        made.extend(writer.events(b""));
        made.extend(writer.events(b"data: {}\n\ndata: {\"b\":2}\n\n"));
        made.extend_from_slice(writer.end());
        assert_eq!(made, b"\n[{\"a\":1},\r\n{},\r\n{\"b\":2}]");
        assert_eq!(ArrayWriter::default().end(), b"[]");
    }

    #[test]
    fn an_array_of_ours_may_end_with_an_item_more() {
        let event = b"data: {\"error\":{}}\n\n";
        for (begun, expected) in [
            ("", "[{\"error\":{}}]"),
            ("\n", "\n[{\"error\":{}}]"),
            ("[{\"a\":1}", "[{\"a\":1},\r\n{\"error\":{}}]"),
        ] {
            let mut end = ArrayWatch::default();
            end.see(begun.as_bytes());
            let ended = [begun.as_bytes(), &last_item(end, event)].concat();
            assert_eq!(ended, expected.as_bytes(), "{begun:?}");
        }
    }
}
