//! What was asked and answered, in words.

use super::{Exchange, keeps_texts};
use crate::access_log::record::LogRecord;

impl Exchange<'_> {
    /// Moves the texts, as the client saw them, and what is told of an answer beside its text: the last step, for they
    /// may be long.
    pub(super) fn move_texts(&mut self, record: &mut LogRecord) {
        let answer = &self.answer;
        // What a cut kept from the client may still say why the model ended.
        let finish_reason = answer
            .finish_reason
            .as_ref()
            .or(self.upstream_answer().finish_reason.as_ref());
        record.finish_reason = finish_reason.cloned();
        if self.is_stream && self.response.size.is_some() && !self.response.truncated {
            record.chunk_count = i64::try_from(answer.event_count).ok();
        }
        if !keeps_texts(self.opened.keep) {
            return;
        }
        record.request_text = self.asked.text.take();
        let answer = &mut self.answer;
        record.response_text = answer.text.take();
        // A legacy function call stands there as an object, so that both can be told apart.
        record.tool_calls = answer.tool_calls.take().or(answer.function_call.take());
    }
}
