//! Embeddings: of the answer only the model, the usage and an error matter; the vectors are stepped over.

use super::decoded::{Decoded, ErrorFields, SeenUsage};
use super::json_reader::Reader;

/// Reads an answer. One that breaks off, or is followed by anything, gives what could be read but no usage.
pub fn decode_whole(text: &str) -> Decoded {
    let mut decoded = Decoded::default();
    let mut seen = SeenUsage::default();
    let mut reader = Reader::new(text);
    let read = reader.object(|key, reader| {
        match key.raw {
            "model" => decoded.model = reader.string()?.map(|model| model.text().into_owned()),
            "usage" => seen.see(reader.raw()?),
            "error" => decoded.error = ErrorFields::read(reader.raw()?),
            _ => reader.skip()?,
        }
        Ok(())
    });
    let complete = read.and_then(|_| reader.end()).is_ok();
    decoded.usage = seen.usage.filter(|_| complete);
    decoded.usage_raw = seen.raw;
    decoded
}
