//! A `content` value, as requests and answers have it: a text, a list of parts, null, or something odd.

use std::borrow::Cow;

use super::json_reader::{JsonError, Kind, RawStr, Reader};

/// What a `content` value holds.
#[derive(Debug, Clone, Default)]
pub struct Content<'a> {
    /// Its texts in order: the text itself, or those of the text parts.
    pub texts: Vec<RawStr<'a>>,
    /// Parts that are no text: images, audio, files, unknown ones.
    pub others: u32,
    /// The value as written; empty for null.
    pub raw: &'a str,
}

impl<'a> Content<'a> {
    /// Reads the next value.
    ///
    /// # Errors
    /// When the text is not JSON.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, JsonError> {
        let mut content = Self::default();
        match reader.peek()? {
            Kind::Null => {
                reader.skip()?;
                return Ok(content);
            }
            Kind::String => {
                content.texts.extend(reader.string()?);
                return Ok(content);
            }
            Kind::Object | Kind::Number | Kind::Bool => {
                content.others = 1;
                content.raw = reader.raw()?;
                return Ok(content);
            }
            Kind::Array => {}
        }
        let start = reader.offset();
        reader.array(|reader| {
            match content_part(reader)? {
                Some(text) => content.texts.push(text),
                None => content.others += 1,
            }
            Ok(())
        })?;
        content.raw = reader.since(start);
        Ok(content)
    }

    /// Its texts, one a line; the JSON of the parts if none is text. `None` for null.
    pub fn text(&self) -> Option<String> {
        if self.texts.is_empty() {
            return (!self.raw.is_empty()).then(|| self.raw.to_owned());
        }
        Some(joined(&self.texts).into_owned())
    }
}

/// Texts, one a line.
pub(super) fn joined<'a>(texts: &[RawStr<'a>]) -> Cow<'a, str> {
    match texts {
        [] => Cow::Borrowed(""),
        [one] => one.text(),
        many => Cow::Owned(
            many.iter()
                .map(|text| text.text())
                .collect::<Vec<_>>()
                .join("\n"),
        ),
    }
}

/// The text of a part; `None` when it is something else.
fn content_part<'a>(reader: &mut Reader<'a>) -> Result<Option<RawStr<'a>>, JsonError> {
    if reader.peek()? == Kind::String {
        return reader.string();
    }
    let (mut kind, mut text, mut refusal) = (None, None, None);
    reader.object(|key, reader| {
        match key.raw {
            "type" => kind = reader.string()?,
            "text" => text = reader.string()?,
            "refusal" => refusal = reader.string()?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    Ok(match kind.map(|kind| kind.raw) {
        Some("refusal") => refusal,
        None | Some("text" | "input_text" | "output_text") => text,
        Some(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, text: Option<&str>, others: u32) {
        let content = Content::read(&mut Reader::new(raw)).unwrap();
        assert_eq!(
            (content.text().as_deref(), content.others),
            (text, others),
            "{raw}"
        );
    }

    #[test]
    fn contents_of_all_kinds() {
        check("\"a\\nb\"", Some("a\nb"), 0);
        check("\"\"", Some(""), 0);
        check("null", None, 0);
        check(
            r#"[{"type":"text","text":"a"},{"type":"image_url","image_url":{}},{"text":"b"},"c"]"#,
            Some("a\nb\nc"),
            1,
        );
        check(
            r#"[{"type":"input_text","text":"\ud800"}]"#,
            Some("\\ud800"),
            0,
        );
        check(
            r#"[ {"type":"image_url","text":"x"} ]"#,
            Some(r#"[ {"type":"image_url","text":"x"} ]"#),
            1,
        );
        check(
            r#"[{"type":"text","text":null}]"#,
            Some(r#"[{"type":"text","text":null}]"#),
            1,
        );
        check("[]", Some("[]"), 0);
        check(r#"{"a":1}"#, Some(r#"{"a":1}"#), 1);
        check("5", Some("5"), 1);
        check("[5,null]", Some("[5,null]"), 2);
    }
}
