//! A record whose texts and bodies are long: its texts are in memory while they are stored, its bodies when it is their
//! turn, and each value moves into its statement. So the long values of one row are held at a time.

use bytes::Bytes;

use crate::access_log::draft::{Bodies, Captured};
use crate::access_log::record::{LogRecord, Payload, StoredBody};

/// A record whose bodies are read once more when they are stored.
pub struct LongRecord {
    record: LogRecord,
    bodies: LaterBodies,
}

/// The bodies of a long record.
pub(crate) struct LaterBodies {
    /// How many bytes of each are stored.
    lengths: [usize; 4],
    read: Box<dyn FnOnce() -> Bodies + Send>,
}

impl LongRecord {
    /// Takes the bodies' bytes out of a record. `read` gives them again.
    pub fn new(mut record: LogRecord, read: impl FnOnce() -> Bodies + Send + 'static) -> Self {
        let mut lengths = [0; 4];
        if let Some(payload) = &mut record.payload {
            for (length, body) in lengths.iter_mut().zip(bodies_mut(payload)) {
                *length = body
                    .as_mut()
                    .map_or(0, |body| std::mem::take(&mut body.bytes).len());
            }
        }
        let read = Box::new(read);
        let bodies = LaterBodies { lengths, read };
        Self { record, bodies }
    }

    /// The record with its bodies in it. `None`: they cannot be read as they were.
    pub fn whole(self) -> Option<LogRecord> {
        let Self { mut record, bodies } = self;
        let found = bodies.read()?;
        if let Some(payload) = &mut record.payload {
            for (body, bytes) in bodies_mut(payload).into_iter().zip(found) {
                body.iter_mut()
                    .for_each(|body| body.bytes.clone_from(&bytes));
            }
        }
        Some(record)
    }

    /// The record without its bodies, and these.
    pub(crate) fn split(self) -> (LogRecord, LaterBodies) {
        (self.record, self.bodies)
    }
}

impl LaterBodies {
    /// Reads them: what is stored of each, in the order of [`Payload`]. `None`: they are not as they were.
    pub(crate) fn read(self) -> Option<[Bytes; 4]> {
        let Bodies {
            request,
            upstream_request,
            response,
            upstream_response,
        } = (self.read)();
        let mut found = [request, upstream_request, response, upstream_response].map(joined);
        for (bytes, length) in found.iter_mut().zip(self.lengths) {
            if length == 0 {
                *bytes = Bytes::new(); // perhaps there, but not to be stored
            }
            if bytes.len() != length {
                return None;
            }
        }
        Some(found)
    }
}

fn joined(body: Option<Captured>) -> Bytes {
    body.map_or_else(Bytes::new, |body| body.joined())
}

fn bodies_mut(payload: &mut Payload) -> [&mut Option<StoredBody>; 4] {
    [
        &mut payload.request_body,
        &mut payload.upstream_request_body,
        &mut payload.response_body,
        &mut payload.upstream_response_body,
    ]
}
