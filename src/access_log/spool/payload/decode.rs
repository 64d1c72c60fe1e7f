//! Reads payloads: every field is checked against what is left, and a wrong one is an error, never a panic.

use bytes::Bytes;
use serde::Deserialize;

use crate::access_log::draft::{BodyKind, Closed, Opened};
use crate::access_log::spool::format::Position;
use crate::access_log::spool::payload::{
    BODY_KINDS, BadPayload, BeginPayload, EndPayload, GapPayload, NO_TEXT, PartAt, StoredBody,
    body_code,
};

impl BeginPayload {
    /// Reads the payload of a begin record.
    pub fn decode(payload: Bytes) -> Result<Self, BadPayload> {
        let mut fields = Fields(payload);
        let mut opened: Opened = fields.json()?;
        opened.request_headers = fields.text()?;
        let mut request = fields.body_meta()?;
        if let Some((body, inline)) = &mut request {
            body.inline = fields.take(*inline)?;
        }
        Ok(Self {
            opened,
            request: request.map(|(body, _)| body),
        })
    }
}

impl EndPayload {
    /// Reads the payload of an end record.
    pub fn decode(payload: Bytes) -> Result<Self, BadPayload> {
        let mut fields = Fields(payload);
        let mut closed: Closed = fields.json()?;
        closed.response_headers = fields.text()?;
        let begin = fields.position()?;
        let mut parts = Vec::new();
        for _ in 0..fields.u32()? {
            parts.push(PartAt {
                kind: fields.body_kind()?,
                at: fields.position()?,
            });
        }
        let mut bodies = [const { None }; 4];
        let mut inlines = [0; 4];
        for (slot, inline) in bodies.iter_mut().zip(&mut inlines) {
            if let Some((body, len)) = fields.body_meta()? {
                (*slot, *inline) = (Some(body), len);
            }
        }
        for (body, inline) in bodies.iter_mut().zip(inlines) {
            if let Some(body) = body {
                body.inline = fields.take(inline)?;
            }
        }
        Ok(Self {
            closed,
            begin,
            parts,
            bodies,
        })
    }
}

impl GapPayload {
    /// Reads the payload of a gap record.
    pub fn decode(payload: Bytes) -> Result<Self, BadPayload> {
        Fields(payload).json()
    }
}

/// Reads the payload of a part record.
pub(in crate::access_log::spool) fn decode_part(
    payload: Bytes,
) -> Result<(BodyKind, Bytes), BadPayload> {
    let mut fields = Fields(payload);
    Ok((fields.body_kind()?, fields.0))
}

/// Takes fields off the front; never beyond the end.
struct Fields(Bytes);

impl Fields {
    fn take(&mut self, len: u64) -> Result<Bytes, BadPayload> {
        let len = usize::try_from(len).map_err(|_| BadPayload)?;
        if self.0.len() < len {
            return Err(BadPayload);
        }
        Ok(self.0.split_to(len))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadPayload> {
        let bytes = self.take(N as u64)?;
        bytes.first_chunk::<N>().copied().ok_or(BadPayload)
    }

    fn u32(&mut self) -> Result<u32, BadPayload> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, BadPayload> {
        self.array().map(u64::from_le_bytes)
    }

    fn json<T: for<'de> Deserialize<'de>>(&mut self) -> Result<T, BadPayload> {
        let len = self.u32()?;
        let json = self.take(u64::from(len))?;
        serde_json::from_slice(&json).map_err(|_| BadPayload)
    }

    fn text(&mut self) -> Result<Option<String>, BadPayload> {
        let len = self.u32()?;
        if len == NO_TEXT {
            return Ok(None);
        }
        let text = self.take(u64::from(len))?;
        let text = std::str::from_utf8(&text).map_err(|_| BadPayload)?;
        Ok(Some(text.to_owned()))
    }

    fn position(&mut self) -> Result<Position, BadPayload> {
        Ok(Position {
            segment: self.u32()?,
            offset: self.u32()?,
        })
    }

    fn body_kind(&mut self) -> Result<BodyKind, BadPayload> {
        let [code] = self.array()?;
        BODY_KINDS
            .into_iter()
            .find(|kind| body_code(*kind) == code)
            .ok_or(BadPayload)
    }

    /// What is known of a body, and how many of its bytes follow later in the record.
    fn body_meta(&mut self) -> Result<Option<(StoredBody, u64)>, BadPayload> {
        let [flags] = self.array()?;
        if flags == 0 {
            return Ok(None);
        }
        let mut body = StoredBody {
            size: self.u64()?,
            spilled: self.u64()?,
            from_begin: self.u64()?,
            truncated: flags & 2 != 0,
            ..StoredBody::default()
        };
        let inline = self.u64()?;
        if flags & 4 != 0 {
            body.sha256 = Some(self.array()?);
        }
        Ok(Some((body, inline)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access_log::draft::Bodies;
    use crate::access_log::spool::format::HEAD_BYTES;
    use crate::access_log::spool::payload::RecordBuffer;
    use crate::access_log::testing;

    fn payload(record: &RecordBuffer) -> Bytes {
        Bytes::copy_from_slice(&record.bytes[HEAD_BYTES..])
    }

    #[test]
    fn headers_come_back_as_they_were() {
        for headers in [None, Some(""), Some(r#"{"a":"\"ä"}"#)] {
            let mut record = RecordBuffer::default();
            let mut opened = testing::opened(1);
            opened.request_headers = headers.map(str::to_owned);
            record.begin(&opened, None).unwrap();
            let begin = BeginPayload::decode(payload(&record)).unwrap();
            assert_eq!(begin.opened.request_headers.as_deref(), headers);
            let mut closed = testing::closed(200);
            closed.response_headers = headers.map(str::to_owned);
            let at = Position {
                segment: 0,
                offset: 0,
            };
            record.end(&closed, &Bodies::default(), at, 0, &[]).unwrap();
            let end = EndPayload::decode(payload(&record)).unwrap();
            assert_eq!(end.closed.response_headers.as_deref(), headers);
        }
    }

    #[test]
    fn no_cut_of_a_payload_is_read() {
        let mut record = RecordBuffer::default();
        record.begin(&testing::opened(1), None).unwrap();
        let whole = payload(&record);
        for length in 0..whole.len() {
            assert!(BeginPayload::decode(whole.slice(..length)).is_err());
        }
    }
}
