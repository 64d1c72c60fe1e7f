//! The texts of a chat request that are to be counted.

use std::borrow::Cow;

use crate::wire::PromptPieces;
use crate::wire::content::Content;
use crate::wire::json_reader::{JsonError, Kind, RawStr, Reader};

/// The texts of a chat request that are to be counted. A body that breaks off gives those before.
pub fn prompt_pieces(text: &str) -> PromptPieces<'_> {
    let mut pieces = PromptPieces {
        chat: true,
        ..PromptPieces::default()
    };
    let read = Reader::new(text).object(|key, reader| match key.raw {
        "messages" => reader
            .array(|reader| count_message(&mut pieces, reader))
            .map(|_| ()),
        _ => count_rest(&mut pieces, key, reader),
    });
    pieces.broken = read.is_err();
    pieces
}

/// Tools and functions, each by its JSON, and what chooses among them.
pub(crate) fn count_rest<'a>(
    pieces: &mut PromptPieces<'a>,
    key: RawStr<'a>,
    reader: &mut Reader<'a>,
) -> Result<(), JsonError> {
    match key.raw {
        "tools" | "functions" => {
            reader.array(|reader| {
                pieces.texts.push(Cow::Borrowed(reader.raw()?));
                Ok(())
            })?;
        }
        "tool_choice" | "function_call" => push_value(pieces, reader)?,
        _ => reader.skip()?,
    }
    Ok(())
}

/// A message: every value counts, texts as they are, other values by their JSON. Only the text parts of a content
/// count; what else it holds is for the upstream to know.
pub(crate) fn count_message<'a>(
    pieces: &mut PromptPieces<'a>,
    reader: &mut Reader<'a>,
) -> Result<(), JsonError> {
    if reader.peek()? != Kind::Object {
        pieces.odd = true;
        return push_value(pieces, reader);
    }
    pieces.messages += 1;
    reader.object(|key, reader| {
        match key.raw {
            "content" | "output" => {
                let content = Content::read(reader)?;
                pieces.odd |= 0 < content.others;
                pieces
                    .texts
                    .extend(content.texts.iter().map(|text| text.text()));
            }
            "name" => {
                pieces.names += u64::from(reader.peek()? == Kind::String);
                push_value(pieces, reader)?;
            }
            "type" | "id" | "status" => reader.skip()?,
            _ => push_value(pieces, reader)?,
        }
        Ok(())
    })?;
    Ok(())
}

fn push_value<'a>(pieces: &mut PromptPieces<'a>, reader: &mut Reader<'a>) -> Result<(), JsonError> {
    match reader.peek()? {
        Kind::String => pieces.texts.extend(reader.string()?.map(RawStr::text)),
        Kind::Null => reader.skip()?,
        Kind::Object | Kind::Array | Kind::Number | Kind::Bool => {
            pieces.texts.push(Cow::Borrowed(reader.raw()?));
        }
    }
    Ok(())
}
