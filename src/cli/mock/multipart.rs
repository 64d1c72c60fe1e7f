//! Reads a `multipart/form-data` body that is held whole, enough to say what arrived.

use serde_json::{Value, json};

use crate::cli::mock::request::{RawRequest, sha256_hex};

/// The parts of an upload, in their order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Upload {
    parts: Vec<Part>,
}

/// One part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    name: String,
    /// `None` for a plain field.
    pub(super) filename: Option<String>,
    content_type: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Upload {
    /// Reads a request; `None` when it is no such form or is not well formed.
    pub(super) fn read(request: &RawRequest) -> Option<Self> {
        let content_type = request.header("content-type")?;
        let boundary = content_type.strip_prefix("multipart/form-data")?;
        let (_, boundary) = boundary.split_once("boundary=")?;
        let boundary = boundary.split(';').next()?.trim_matches('"');
        let opening = format!("--{boundary}");
        let delimiter = format!("\r\n--{boundary}");
        let mut rest = request.body.strip_prefix(opening.as_bytes())?;
        let mut parts = Vec::new();
        while !rest.starts_with(b"--") {
            rest = rest.strip_prefix(b"\r\n")?;
            let end = memchr::memmem::find(rest, delimiter.as_bytes())?;
            let (part, after) = rest.split_at(end);
            parts.push(Part::read(part)?);
            rest = after.get(delimiter.len()..)?;
        }
        Some(Self { parts })
    }

    /// Text of a plain field; `None` when absent or not UTF-8.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let part = self
            .parts
            .iter()
            .find(|part| part.name == name && part.filename.is_none())?;
        std::str::from_utf8(&part.body).ok()
    }

    /// The first part that is a file.
    pub(super) fn file(&self) -> Option<&Part> {
        self.parts.iter().find(|part| part.filename.is_some())
    }

    /// What arrived: files with size and hash, fields with their text.
    pub(super) fn report(&self) -> Value {
        let describe = |part: &Part| match &part.filename {
            Some(filename) => json!({"name": part.name, "filename": filename,
                "content_type": part.content_type, "bytes": part.body.len(),
                "sha256": sha256_hex(&part.body)}),
            None => json!({"name": part.name, "value": self.field(&part.name)}),
        };
        self.parts.iter().map(describe).collect()
    }
}

impl Part {
    fn read(part: &[u8]) -> Option<Self> {
        let end = memchr::memmem::find(part, b"\r\n\r\n")?;
        let head = std::str::from_utf8(part.get(..end)?).ok()?;
        let header = |wanted: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(':'));
            let (_, value) = lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
            Some(value.trim())
        };
        let disposition = header("content-disposition")?;
        Some(Self {
            name: parameter(disposition, "name")?,
            filename: parameter(disposition, "filename"),
            content_type: header("content-type").map(str::to_owned),
            body: part.get(end + 4..)?.to_vec(),
        })
    }
}

/// `name="value"` in a header of parameters.
fn parameter(header: &str, name: &str) -> Option<String> {
    let mut parameters = header.split(';').filter_map(|p| p.trim().split_once('='));
    let (_, value) = parameters.find(|(known, _)| *known == name)?;
    Some(value.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<Upload> {
        Upload::read(&RawRequest {
            method: "POST".into(),
            target: "/v1/files".into(),
            head: "POST / HTTP/1.1\r\ncontent-type: multipart/form-data; boundary=\"x\"\r\n\r\n"
                .into(),
            body: body.to_owned().into(),
        })
    }

    #[test]
    fn fields_and_files() {
        let upload = read(
            "--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nmock\r\n\
             --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\
             Content-Type: audio/wav\r\n\r\na--x\r\r\n\r\n--x--\r\n",
        )
        .unwrap();
        assert_eq!(upload.field("model"), Some("mock"));
        assert_eq!(upload.field("file"), None);
        assert_eq!(upload.file().unwrap().body, b"a--x\r\r\n");
        assert_eq!(upload.report()[1]["content_type"], "audio/wav");
    }

    #[test]
    fn broken_forms_are_none() {
        for body in [
            "",
            "--y--",
            "--x",
            "--x\r\n\r\n--x--",
            "--x\r\nno head\r\n--x--",
        ] {
            assert_eq!(read(body), None, "{body:?}");
        }
    }
}
