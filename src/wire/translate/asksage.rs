//! Ask Sage's `query`, of which requests are written and answers read. It has no streams that are documented, so a
//! client that asks for one gets it made of the whole answer.

mod answer;
#[cfg(test)]
mod tests;
mod write;

pub(super) use self::answer::read_answer;
pub(super) use self::write::write_request;
