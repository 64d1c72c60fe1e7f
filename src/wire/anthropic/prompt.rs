//! The texts of a request that are to be counted.

use std::borrow::Cow;

use crate::wire::PromptPieces;
use crate::wire::json_reader::{JsonError, Kind, RawStr, Reader};

/// The texts of a request that are to be counted. A body that breaks off gives those before.
pub fn prompt_pieces(text: &str) -> PromptPieces<'_> {
    let mut pieces = PromptPieces {
        chat: true,
        ..PromptPieces::default()
    };
    let read = Reader::new(text).object(|key, reader| {
        match key.raw {
            "system" => count_content(&mut pieces, reader)?,
            "messages" => {
                reader.array(|reader| count_message(&mut pieces, reader))?;
            }
            "tools" => {
                reader.array(|reader| {
                    pieces.texts.push(Cow::Borrowed(reader.raw()?));
                    Ok(())
                })?;
            }
            _ => reader.skip()?,
        }
        Ok(())
    });
    pieces.broken = read.is_err();
    pieces
}

fn count_message<'a>(
    pieces: &mut PromptPieces<'a>,
    reader: &mut Reader<'a>,
) -> Result<(), JsonError> {
    pieces.messages += 1;
    let is_object = reader.object(|key, reader| match key.raw {
        "content" => count_content(pieces, reader),
        "role" => count_text(pieces, reader),
        _ => reader.skip(),
    })?;
    pieces.odd |= !is_object;
    Ok(())
}

/// A text, or blocks of which some have one.
fn count_content<'a>(
    pieces: &mut PromptPieces<'a>,
    reader: &mut Reader<'a>,
) -> Result<(), JsonError> {
    match reader.peek()? {
        Kind::String => count_text(pieces, reader),
        Kind::Array => reader
            .array(|reader| count_block(pieces, reader))
            .map(|_| ()),
        Kind::Null => reader.skip(),
        Kind::Object | Kind::Number | Kind::Bool => {
            pieces.odd = true;
            reader.skip()
        }
    }
}

/// Texts, tools' inputs and results count; what else a block holds is for the upstream to know.
fn count_block<'a>(
    pieces: &mut PromptPieces<'a>,
    reader: &mut Reader<'a>,
) -> Result<(), JsonError> {
    reader.object(|key, reader| match key.raw {
        "text" | "thinking" | "name" => count_text(pieces, reader),
        "content" => count_content(pieces, reader),
        "input" => {
            pieces.texts.push(Cow::Borrowed(reader.raw()?));
            Ok(())
        }
        "source" | "data" => {
            pieces.odd = true;
            reader.skip()
        }
        _ => reader.skip(),
    })?;
    Ok(())
}

fn count_text<'a>(pieces: &mut PromptPieces<'a>, reader: &mut Reader<'a>) -> Result<(), JsonError> {
    pieces.texts.extend(reader.string()?.map(RawStr::text));
    Ok(())
}
