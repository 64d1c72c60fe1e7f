//! What a request says: the text of its last content, and all that is to be counted.

use std::borrow::Cow;

use crate::wire::PromptPieces;
use crate::wire::json_reader::{JsonError, Kind, RawStr, Reader};

/// The text of the last content: its text parts, one a line; JSON of the parts if none is text. Of embeddings all
/// texts. A body that breaks off gives what stands before.
pub fn request_text(text: &str) -> Option<String> {
    let mut last = Content::default();
    let mut batch = Vec::new();
    let _broken = Reader::new(text).object(|key, reader| match key.raw {
        "contents" | "content" => last_content(reader, &mut last),
        "generateContentRequest" => reader
            .object(|key, reader| match key.raw {
                "contents" => last_content(reader, &mut last),
                _ => reader.skip(),
            })
            .map(|_| ()),
        "requests" => reader
            .array(|reader| {
                reader.object(|key, reader| {
                    if key.raw != "content" {
                        return reader.skip();
                    }
                    let mut content = Content::default();
                    let read = content.read(reader);
                    batch.extend(content.text());
                    read
                })?;
                Ok(())
            })
            .map(|_| ()),
        _ => reader.skip(),
    });
    match batch.is_empty() {
        true => last.text(),
        false => Some(batch.join("\n")),
    }
}

/// One content, or the last of a list.
fn last_content<'a>(reader: &mut Reader<'a>, last: &mut Content<'a>) -> Result<(), JsonError> {
    if reader.peek()? != Kind::Array {
        return last.read(reader);
    }
    reader.array(|reader| {
        *last = Content::default();
        last.read(reader)
    })?;
    Ok(())
}

#[derive(Debug, Default)]
struct Content<'a> {
    texts: Vec<RawStr<'a>>,
    parts: Option<&'a str>,
}

impl<'a> Content<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Result<(), JsonError> {
        if reader.peek()? == Kind::String {
            self.texts.extend(reader.string()?);
            return Ok(());
        }
        reader.object(|key, reader| {
            if key.raw != "parts" {
                return reader.skip();
            }
            let start = reader.offset();
            each_part(reader, &mut |reader| {
                let (mut text, mut thought) = (None, false);
                reader.object(|key, reader| {
                    match key.raw {
                        "text" => text = reader.string()?,
                        "thought" => thought = reader.boolean()?.unwrap_or(false),
                        _ => reader.skip()?,
                    }
                    Ok(())
                })?;
                self.texts.extend(text.filter(|_| !thought));
                Ok(())
            })?;
            self.parts = Some(reader.since(start).trim_start());
            Ok(())
        })?;
        Ok(())
    }

    fn text(&self) -> Option<String> {
        if self.texts.is_empty() {
            return self.parts.map(str::to_owned);
        }
        let texts: Vec<_> = self.texts.iter().map(|text| text.text()).collect();
        Some(texts.join("\n"))
    }
}

/// The parts of a content: a list, or one that stands alone.
fn each_part<'a>(
    reader: &mut Reader<'a>,
    on_part: &mut dyn FnMut(&mut Reader<'a>) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    match reader.peek()? {
        Kind::Array => reader.array(on_part).map(|_| ()),
        Kind::Object | Kind::String | Kind::Number | Kind::Bool | Kind::Null => on_part(reader),
    }
}

/// The texts of a request that are to be counted. A body that breaks off gives those before.
pub fn prompt_pieces(text: &str) -> PromptPieces<'_> {
    let mut pieces = PromptPieces {
        chat: true,
        ..PromptPieces::default()
    };
    let read = Reader::new(text).object(|key, reader| {
        match key.raw {
            "systemInstruction" | "system_instruction" => count_content(&mut pieces, reader)?,
            "contents" | "content" if reader.peek()? == Kind::Array => {
                reader.array(|reader| {
                    pieces.messages += 1;
                    count_content(&mut pieces, reader)
                })?;
            }
            "contents" | "content" => {
                pieces.messages += 1;
                count_content(&mut pieces, reader)?;
            }
            "requests" => {
                reader.array(|reader| {
                    reader.object(|key, reader| match key.raw {
                        "content" => count_content(&mut pieces, reader),
                        _ => reader.skip(),
                    })?;
                    Ok(())
                })?;
            }
            "tools" => {
                reader.array(|reader| {
                    pieces.texts.push(Cow::Borrowed(reader.raw()?));
                    Ok(())
                })?;
            }
            "cachedContent" => {
                pieces.odd = true;
                reader.skip()?;
            }
            _ => reader.skip()?,
        }
        Ok(())
    });
    pieces.broken = read.is_err();
    pieces
}

fn count_content<'a>(
    pieces: &mut PromptPieces<'a>,
    reader: &mut Reader<'a>,
) -> Result<(), JsonError> {
    if reader.peek()? == Kind::String {
        pieces.texts.extend(reader.string()?.map(RawStr::text));
        return Ok(());
    }
    reader.object(|key, reader| match key.raw {
        "parts" => each_part(reader, &mut |reader| count_part(pieces, reader)),
        _ => reader.skip(),
    })?;
    Ok(())
}

/// Texts, calls and their results count; what else a part holds is for the upstream to know.
fn count_part<'a>(pieces: &mut PromptPieces<'a>, reader: &mut Reader<'a>) -> Result<(), JsonError> {
    reader.object(|key, reader| match key.raw {
        "text" => {
            pieces.texts.extend(reader.string()?.map(RawStr::text));
            Ok(())
        }
        "functionCall" | "functionResponse" | "executableCode" | "codeExecutionResult" => {
            pieces.texts.push(Cow::Borrowed(reader.raw()?));
            Ok(())
        }
        "thought" | "thoughtSignature" => reader.skip(),
        _ => {
            pieces.odd = true;
            reader.skip()
        }
    })?;
    Ok(())
}
