//! Completions, the older format: a prompt in, choices with `text` out. Answers are read as those of chat.

use super::json_reader::{Kind, Reader};
use super::{PromptPieces, content::Content};

/// The texts of a request that are to be counted: the prompt, or the inputs of embeddings, which have the same shapes
/// (a text, a list of texts, token numbers, lists of those).
pub fn prompt_pieces<'a>(text: &'a str, field: &str) -> PromptPieces<'a> {
    let mut pieces = PromptPieces::default();
    let read = Reader::new(text).object(|key, reader| {
        if key.raw != field {
            return reader.skip();
        }
        match reader.peek()? {
            Kind::Array => {
                reader.array(|reader| match reader.peek()? {
                    Kind::Number => {
                        pieces.token_numbers += 1;
                        reader.skip()
                    }
                    Kind::Array => reader
                        .array(|reader| {
                            pieces.token_numbers += 1;
                            reader.skip()
                        })
                        .map(|_| ()),
                    Kind::String => {
                        pieces
                            .texts
                            .extend(reader.string()?.map(|text| text.text()));
                        Ok(())
                    }
                    Kind::Object | Kind::Bool | Kind::Null => {
                        pieces.odd = true;
                        reader.skip()
                    }
                })?;
            }
            Kind::String => pieces
                .texts
                .extend(reader.string()?.map(|text| text.text())),
            Kind::Object | Kind::Number | Kind::Bool | Kind::Null => {
                pieces.odd = true;
                reader.skip()?;
            }
        }
        Ok(())
    });
    pieces.broken = read.is_err();
    pieces
}

/// Text of a prompt or input: texts one a line; token numbers as their JSON.
pub fn input_text(raw: &str) -> Option<String> {
    Content::read(&mut Reader::new(raw)).ok()?.text()
}
