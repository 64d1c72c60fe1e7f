//! Serves a recorded answer again: status, content type and body byte for byte, at once or in its own time.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::access_log::guard::RecordGuard;
use crate::access_log::query::{StoredResponse, stored_response};
use crate::access_log::recorder::AccessLog;
use crate::access_log::store::LogStore;
use crate::filter::Outcome;
use crate::pipeline::failure::Failure;
use crate::pipeline::generator::{Aborted, Generator, Yielder};
use crate::pipeline::reply::{Reply, ReplyBody, ReplyHeaders, note_headers};
use crate::telemetry::background::Runner;

/// The latest that a piece is due, however slow the replay.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 24 * 3600);

/// How fast a recorded stream is served: N times as fast as recorded, 0 at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed(f64);

impl Speed {
    /// At once.
    pub const AT_ONCE: Self = Self(0.0);

    /// Reads the value of `x-aiproxy-replay-speed`; nothing means at once.
    ///
    /// # Errors
    /// [`Failure::BadHeader`] for everything but a finite number from 0.
    pub fn parse(text: Option<&str>) -> Result<Self, Failure> {
        let Some(text) = text else {
            return Ok(Self::AT_ONCE);
        };
        match f64::from_str(text.trim()) {
            Ok(speed) if speed.is_finite() && 0.0 <= speed => Ok(Self(speed)),
            _ => Err(Failure::BadHeader {
                name: "x-aiproxy-replay-speed",
                reason: "a number from 0 is expected",
            }),
        }
    }

    /// N times as fast as recorded.
    pub fn times(speed: f64) -> Self {
        Self(speed.max(0.0))
    }

    fn apply(self, recorded: Duration) -> Duration {
        if self.0 == 0.0 {
            return Duration::ZERO;
        }
        let slowed = Duration::try_from_secs_f64(recorded.as_secs_f64() / self.0);
        slowed.map_or(LONGEST_WAIT, |slowed| slowed.min(LONGEST_WAIT))
    }
}

/// Finds recorded answers.
#[derive(Debug, Clone)]
pub struct Replays {
    log: Arc<AccessLog>,
    store: Arc<LogStore>,
    runner: Runner,
}

impl Replays {
    /// Reads from `store` on the background thread.
    pub fn new(log: Arc<AccessLog>, store: Arc<LogStore>, runner: Runner) -> Self {
        Self { log, store, runner }
    }

    /// The recorded answer of an exchange.
    ///
    /// # Errors
    /// [`Failure::ReplayNotFound`], [`Failure::ReplayNotComplete`], [`Failure::ReplayBodyUnavailable`].
    pub async fn find(&self, id: &str) -> Result<Recorded, Failure> {
        let id = Uuid::parse_str(id.trim()).map_err(|_| Failure::ReplayNotFound)?;
        // Asked before the store: what is stored in between is found there.
        let is_unfinished = self.log.is_unfinished(id);
        let store = self.store.clone();
        let read = self.runner.run(async move {
            let database = store.database().await.ok()?;
            stored_response(&database, &id.to_string()).await.ok()
        });
        match read.await {
            Ok(Some(Some(stored))) => Recorded::new(id, stored),
            Ok(Some(None)) if is_unfinished => Err(Failure::ReplayNotComplete),
            Ok(Some(None)) => Err(Failure::ReplayNotFound),
            // The store is away: what is still on its way to it is known, the rest cannot be told.
            Ok(None) | Err(_) if is_unfinished => Err(Failure::ReplayNotComplete),
            Ok(None) | Err(_) => Err(Failure::ReplayBodyUnavailable),
        }
    }
}

/// A recorded answer, ready to be served.
#[derive(Debug, Clone)]
pub struct Recorded {
    id: Uuid,
    status: u16,
    content_type: Option<String>,
    body: Bytes,
    pieces: Vec<RecordedPiece>,
    complete: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RecordedPiece {
    offset: usize,
    length: usize,
    at: Duration,
}

impl Recorded {
    /// What is stored of an exchange's answer, if it can be served again.
    ///
    /// # Errors
    /// [`Failure::ReplayBodyUnavailable`] when there was no answer, or it is not stored whole.
    pub fn new(id: Uuid, stored: StoredResponse) -> Result<Self, Failure> {
        let has_head = 100 <= stored.status_code && stored.status_code != 499;
        let headers = stored.headers.as_deref().unwrap_or("{}");
        let headers: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(headers).unwrap_or_default();
        let stored_bytes = stored.body.as_ref().map_or(0, Bytes::len) as i64;
        // Cut, or with a credential marked in it; the other bodies of the exchange do not matter.
        let is_changed = stored.body_size.is_some_and(|size| stored_bytes != size);
        let is_kept = matches!(
            stored.body_state.as_str(),
            "stored" | "truncated" | "redacted"
        );
        if !has_head || stored.headers.is_none() || is_changed || !is_kept {
            return Err(Failure::ReplayBodyUnavailable);
        }
        let body = stored.body.unwrap_or_default();
        Ok(Self {
            id,
            status: stored.status_code,
            content_type: headers
                .get("content-type")
                .and_then(|value| value.as_str())
                .map(str::to_owned),
            pieces: stored
                .chunk_times
                .as_deref()
                .map(pieces)
                .unwrap_or_default(),
            complete: stored.response_complete != Some(false),
            body,
        })
    }

    /// The whole body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// HTTP status as it was sent.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the recorded answer had come to its end.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The body in its recorded pieces, each with the time from the start at which it is due. The pieces together are
    /// the whole body; an answer that was no stream is one piece.
    pub fn schedule(&self, speed: Speed) -> Vec<(Duration, Bytes)> {
        let mut pieces = Vec::with_capacity(self.pieces.len() + 1);
        let (mut begin, mut due) = (0, Duration::ZERO);
        for piece in &self.pieces {
            let end = (piece.offset + piece.length).clamp(begin, self.body.len());
            due = speed.apply(piece.at);
            pieces.push((due, self.body.slice(begin..end)));
            begin = end;
        }
        if begin < self.body.len() {
            pieces.push((due, self.body.slice(begin..)));
        }
        pieces
    }

    /// Headers of the replay.
    pub fn headers(&self) -> ReplyHeaders {
        let mut headers = ReplyHeaders::default();
        if let Some(content_type) = &self.content_type {
            headers.push("content-type", content_type.clone());
        }
        headers.push("x-aiproxy-replayed", self.id.to_string());
        if !self.complete {
            headers.push("x-aiproxy-replay-incomplete", "true");
        }
        headers
    }

    /// As an answer that leaves no row.
    pub fn into_reply(self, speed: Speed) -> Reply {
        let headers = self.headers();
        let (status, is_stream) = (self.status, !self.pieces.is_empty());
        let body = if is_stream {
            ReplyBody::Pieces(Generator::new(|out| self.serve(speed, out, None)), None)
        } else {
            ReplyBody::Whole(self.body)
        };
        Reply {
            status,
            headers,
            body,
            close: false,
        }
    }

    /// As an answer with a row of its own.
    pub fn into_recorded_reply(self, speed: Speed, mut guard: RecordGuard) -> Reply {
        guard.begin();
        let headers = self.headers();
        note_headers(&mut guard, &headers);
        let closed = guard.closed_mut();
        closed.replay_of = Some(self.id);
        closed.status_code = self.status;
        closed.response_is_stream = !self.pieces.is_empty();
        if self.pieces.is_empty() {
            guard.closed_mut().response_complete = Some(self.complete);
            guard.response_piece(self.body.clone());
            guard.end(Outcome::Replayed);
            guard.finish();
            let status = self.status;
            return Reply {
                status,
                headers,
                body: ReplyBody::Whole(self.body),
                close: false,
            };
        }
        let status = self.status;
        let generator = Generator::new(|out| self.serve(speed, out, Some(guard)));
        Reply {
            status,
            headers,
            body: ReplyBody::Pieces(generator, None),
            close: false,
        }
    }

    async fn serve(
        self,
        speed: Speed,
        mut out: Yielder,
        mut guard: Option<RecordGuard>,
    ) -> Result<(), Aborted> {
        let started = std::time::Instant::now();
        let schedule = self.schedule(speed);
        let last = schedule.len().saturating_sub(1);
        for (number, (due, bytes)) in schedule.into_iter().enumerate() {
            let due = started + due;
            if std::time::Instant::now() < due {
                tokio::time::sleep_until(due.into()).await;
            }
            if let Some(guard) = &mut guard {
                let now = std::time::Instant::now();
                guard.stream_piece(bytes.clone(), now);
                guard.first_byte(now);
                if number == last {
                    guard.closed_mut().response_complete = Some(self.complete);
                    guard.end(Outcome::Replayed);
                }
            }
            out.send(bytes).await;
        }
        if let Some(guard) = guard {
            guard.finish();
        }
        Ok(())
    }
}

/// Reads `offset,length,microseconds;…`.
fn pieces(text: &str) -> Vec<RecordedPiece> {
    text.split(';')
        .filter_map(|entry| {
            let mut numbers = entry.split(',');
            Some(RecordedPiece {
                offset: numbers.next()?.parse().ok()?,
                length: numbers.next()?.parse().ok()?,
                at: Duration::from_micros(numbers.next()?.parse().ok()?),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_numbers_from_zero() {
        assert_eq!(Speed::parse(None), Ok(Speed::AT_ONCE));
        assert_eq!(Speed::parse(Some(" 2.5 ")), Ok(Speed(2.5)));
        for bad in ["-1", "fast", "NaN", "inf", ""] {
            assert!(Speed::parse(Some(bad)).is_err(), "{bad}");
        }
        assert_eq!(
            Speed(2.0).apply(Duration::from_secs(4)),
            Duration::from_secs(2)
        );
        assert_eq!(Speed::AT_ONCE.apply(Duration::from_secs(4)), Duration::ZERO);
        let slowest = Speed::parse(Some("1e-300")).unwrap();
        assert_eq!(slowest.apply(Duration::from_micros(1)), LONGEST_WAIT);
    }

    fn stored(chunk_times: Option<&str>) -> StoredResponse {
        StoredResponse {
            request_id: Uuid::nil().to_string(),
            outcome: "ok".to_owned(),
            status_code: 200,
            stream: Some(true),
            body_state: "stored".to_owned(),
            response_complete: Some(true),
            headers: Some("{}".to_owned()),
            body: Some(Bytes::from_static(b"abcdef")),
            body_size: Some(6),
            chunk_times: chunk_times.map(str::to_owned),
        }
    }

    #[test]
    fn only_an_answer_that_is_stored_as_it_was_is_replayed() {
        for (body_state, body_size, replayed) in [
            ("stored", 6, true),
            // The request was cut or had a credential in it, the answer is whole.
            ("truncated", 6, true),
            ("redacted", 6, true),
            ("truncated", 7, false),
            ("redacted", 40, false),
            ("redacted", 5, false),
            ("expired", 6, false),
            ("metadata_only", 6, false),
            ("off", 6, false),
        ] {
            let stored = StoredResponse {
                body_state: body_state.to_owned(),
                body_size: Some(body_size),
                ..stored(None)
            };
            let recorded = Recorded::new(Uuid::nil(), stored);
            assert_eq!(recorded.is_ok(), replayed, "{body_state} {body_size}");
        }
    }

    #[test]
    fn pieces_make_up_the_whole_body() {
        for (chunk_times, expected) in [
            (None, &[(0, "abcdef")][..]),
            (Some("0,4,10;4,2,30"), &[(5, "abcd"), (15, "ef")]),
            (Some("0,4,10"), &[(5, "abcd"), (5, "ef")]),
            (Some("0,4,10;2,9,30"), &[(5, "abcd"), (15, "ef")]),
        ] {
            let recorded = Recorded::new(Uuid::nil(), stored(chunk_times)).unwrap();
            let pieces = recorded.schedule(Speed::times(2.0));
            let found: Vec<_> = pieces
                .iter()
                .map(|(due, piece)| (due.as_micros(), std::str::from_utf8(piece).unwrap()))
                .collect();
            assert_eq!(found, expected, "{chunk_times:?}");
        }
    }

    #[test]
    fn piece_times_are_read_back() {
        let expected = [(0, 5, 10), (5, 7, 30)].map(|(offset, length, us)| RecordedPiece {
            offset,
            length,
            at: Duration::from_micros(us),
        });
        assert_eq!(pieces("0,5,10;5,7,30"), expected);
        assert_eq!(pieces("nonsense"), []);
    }
}
