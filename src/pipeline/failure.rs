//! Everything that can keep an exchange from a plain answer, as one enum: what happened, not which status.
//! `server::error` chooses the status, a dialect renders the shape.

use crate::filter::Outcome;
use crate::wire::json_check::JsonError;
use crate::wire::translate::ProviderError;

/// Why the client gets an error of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The body is not one JSON object.
    InvalidJson {
        /// What is wrong with it, with a byte offset.
        reason: String,
    },
    /// The JSON is nested too deep.
    JsonTooDeep,
    /// An object in the body has too many keys.
    JsonTooManyKeys,
    /// A key that routing or filters rely on stands twice.
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// The body is longer than `server.max_body_bytes`.
    BodyTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body's framing is broken.
    BodyBroken,
    /// The client left before its request was whole, or before the answer was.
    ClientGone,
    /// More headers, or longer ones, than we take.
    HeadersTooLarge,
    /// The target is too long.
    TargetTooLong,
    /// A `Host`, target or path that could mean two things.
    BadTarget {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Nobody serves this path.
    UnknownPath,
    /// The path exists for another method.
    MethodNotAllowed {
        /// Which ones, as in `Allow`; `None` when that is not known.
        allow: Option<&'static str>,
    },
    /// What a path names is not there.
    NoSuch {
        /// What it would be.
        what: &'static str,
        /// Its name, as asked for.
        name: String,
    },
    /// The client signed its request for our address, and we have no credentials to sign it anew.
    ForeignSignature,
    /// The client shows two different keys.
    TwoKeys {
        /// The header or parameter with one of them.
        first: &'static str,
        /// The one with the other.
        second: &'static str,
    },
    /// No provider takes this model.
    UnknownModel {
        /// The model as asked for.
        model: String,
        /// Known names that are near it.
        nearest: Vec<String>,
    },
    /// The model's provider is asked by translation, and counts of tokens are not translated.
    CountNotTranslated {
        /// The model as asked for.
        model: String,
        /// The providers that count for these clients.
        counting: Vec<String>,
    },
    /// The kind of the model's provider has no such call, and none that could stand for it.
    LacksCall {
        /// The model as asked for, if one is.
        model: Option<String>,
        /// The kind.
        kind: &'static str,
        /// What it has none of.
        lacks: &'static str,
    },
    /// No model is named, by which a provider could be found.
    MissingModel,
    /// `x-aiproxy-replay` names nothing that this caller may see.
    ReplayNotFound,
    /// The exchange to replay is not finished.
    ReplayNotComplete,
    /// The body to replay was not stored, or not whole.
    ReplayBodyUnavailable,
    /// What is asked of the record cannot be read at the moment.
    RecordUnreadable,
    /// A member of a body of ours cannot be understood.
    BadMember {
        /// Its name.
        name: &'static str,
        /// What is allowed.
        reason: String,
    },
    /// A header of ours cannot be understood.
    BadHeader {
        /// The header's name.
        name: &'static str,
        /// What is allowed.
        reason: &'static str,
    },
    /// Nobody who could answer is there: the circuits of all are open.
    NoUpstream {
        /// Seconds until one of them is tried again.
        retry_after_s: u32,
    },
    /// Every key that could be used has no room within its `max_rps`.
    KeysBusy {
        /// Seconds until one has.
        retry_after_s: u32,
    },
    /// No target of the model is for this request: conditions or exclusions leave none.
    NoTarget,
    /// A choice that is only asked about would find nobody.
    NoCandidate {
        /// Who was left out, and why, in words.
        left_out: Vec<String>,
        /// Seconds until one of them may be asked again; `None` when time changes nothing.
        retry_after_s: Option<u32>,
    },
    /// More streams are open than `server.max_streams`.
    Overloaded,
    /// The spool is full and `on_spool_full: refuse`.
    LogUnavailable,
    /// The server is stopping.
    ShuttingDown,
    /// Nobody answers at the provider's address.
    UpstreamUnreachable {
        /// For the record only.
        detail: String,
    },
    /// The provider's name has no address.
    UpstreamDns,
    /// The TLS handshake with the provider failed.
    UpstreamTls {
        /// For the record only.
        detail: String,
    },
    /// No head within `first_byte_s`, or no end within `total_s`.
    UpstreamTimeout,
    /// Nothing came for `idle_s`.
    UpstreamIdleTimeout,
    /// The provider answered with a redirect.
    UpstreamRedirect,
    /// The provider refused our key.
    UpstreamAuth {
        /// Its status.
        status: u16,
    },
    /// A good status with a content type that is no answer to the call.
    UpstreamBadContentType,
    /// The provider's answer is not HTTP that we can read.
    UpstreamProtocol {
        /// For the record only.
        detail: String,
    },
    /// The answer is longer than what a filter may hold.
    UpstreamBodyTooLarge,
    /// One event of a stream is longer than `max_event_bytes`.
    UpstreamEventTooLarge,
    /// The stream ended before its end.
    UpstreamTruncated,
    /// The provider closed the connection before it answered.
    UpstreamClosed,
    /// The connection to the provider broke in the middle of its answer.
    UpstreamDisconnected,
    /// The provider answered with an error status and a body that is not JSON.
    UpstreamStatus {
        /// Its status.
        status: u16,
    },
    /// The provider answered another dialect than the client's with an error, in these words.
    UpstreamSaid {
        /// Its status; that of its kind where a stream reports it.
        status: u16,
        /// What it said.
        error: ProviderError,
    },
    /// The request asks for what the provider's format cannot say.
    Untranslatable {
        /// Path of the field.
        field: String,
        /// Why.
        reason: String,
    },
    /// A filter said no.
    FilterRefused {
        /// The filter.
        filter: String,
        /// Before the upstream (`request`) or after it (`response`, `stream`).
        phase: FilterPhase,
        /// For the client.
        message: String,
        /// `error.code`.
        code: String,
        /// The status that the filter asked for.
        status: Option<u16>,
        /// When the client may try again, in seconds.
        retry_after_s: Option<u32>,
    },
    /// A filter broke.
    FilterFailed {
        /// The filter.
        filter: String,
        /// How.
        kind: FilterFailure,
    },
    /// A defect of ours.
    Internal,
}

/// On which way a filter stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterPhase {
    /// On the way in.
    Request,
    /// On the way out, whole.
    Response,
    /// On the way out, event by event.
    Stream,
}

/// How a filter broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterFailure {
    /// It returned an error, or panicked.
    Error,
    /// It took too long.
    Timeout,
    /// What it made of the exchange cannot be used.
    InvalidOutput,
    /// It held back more, or longer, than it may.
    HeldTooMuch,
    /// The pool for blocking work is full.
    PoolFull,
}

impl Failure {
    /// The row's outcome.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::InvalidJson { .. }
            | Self::JsonTooDeep
            | Self::JsonTooManyKeys
            | Self::DuplicateKey { .. }
            | Self::BodyTimeout
            | Self::BodyBroken
            | Self::HeadersTooLarge
            | Self::TargetTooLong
            | Self::BadTarget { .. }
            | Self::UnknownPath
            | Self::MethodNotAllowed { .. }
            | Self::NoSuch { .. }
            | Self::ForeignSignature
            | Self::TwoKeys { .. }
            | Self::UnknownModel { .. }
            | Self::CountNotTranslated { .. }
            | Self::LacksCall { .. }
            | Self::MissingModel
            | Self::ReplayNotFound
            | Self::ReplayNotComplete
            | Self::ReplayBodyUnavailable
            | Self::Untranslatable { .. }
            | Self::BadMember { .. }
            | Self::BadHeader { .. } => Outcome::ClientError,
            Self::BodyTooLarge { .. } | Self::NoTarget => Outcome::Rejected,
            Self::KeysBusy { .. } => Outcome::RateLimited,
            Self::ClientGone => Outcome::ClientDisconnected,
            Self::Overloaded | Self::LogUnavailable | Self::RecordUnreadable => Outcome::Shed,
            Self::ShuttingDown => Outcome::Shutdown,
            Self::UpstreamUnreachable { .. }
            | Self::UpstreamDns
            | Self::NoUpstream { .. }
            | Self::NoCandidate { .. }
            | Self::UpstreamTls { .. }
            | Self::UpstreamRedirect
            | Self::UpstreamAuth { .. }
            | Self::UpstreamBadContentType
            | Self::UpstreamProtocol { .. }
            | Self::UpstreamClosed
            | Self::UpstreamBodyTooLarge => Outcome::UpstreamError,
            Self::UpstreamStatus { status } | Self::UpstreamSaid { status, .. } => {
                of_upstream_status(*status)
            }
            Self::UpstreamTimeout | Self::UpstreamIdleTimeout => Outcome::UpstreamTimeout,
            Self::UpstreamEventTooLarge | Self::UpstreamTruncated | Self::UpstreamDisconnected => {
                Outcome::UpstreamTruncated
            }
            Self::FilterRefused { .. } => Outcome::FilterBlocked,
            Self::FilterFailed { .. } => Outcome::FilterError,
            Self::Internal => Outcome::InternalError,
        }
    }

    /// The filter that answered for this failure.
    pub fn filter(&self) -> Option<&str> {
        match self {
            Self::FilterRefused { filter, .. } | Self::FilterFailed { filter, .. } => Some(filter),
            _ => None,
        }
    }

    /// More than the client is told, for the record: a class, never a secret.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::UpstreamUnreachable { detail }
            | Self::UpstreamTls { detail }
            | Self::UpstreamProtocol { detail } => Some(detail),
            _ => None,
        }
    }
}

impl From<JsonError> for Failure {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Invalid { .. } => Self::InvalidJson {
                reason: error.to_string(),
            },
            JsonError::TooDeep { .. } => Self::JsonTooDeep,
            JsonError::TooManyKeys { .. } => Self::JsonTooManyKeys,
            JsonError::DuplicateKey { name, .. } => Self::DuplicateKey {
                key: name.to_owned(),
            },
        }
    }
}

/// The outcome of an answer by the upstream's status.
pub fn of_upstream_status(status: u16) -> Outcome {
    match status {
        429 => Outcome::RateLimited,
        400.. => Outcome::UpstreamError,
        _ => Outcome::Ok,
    }
}
