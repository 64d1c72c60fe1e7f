//! A stream filter: cuts a stream that says too much. Its run keeps the count in a field.
use aiproxy_filters::testing::{Reply, run_stream};
use aiproxy_filters::{
    Context, Endpoint, Filter, FilterError, Outbox, Refusal, StreamEvent, StreamFilter, StreamRun,
    StreamVerdict,
};
use async_trait::async_trait;

#[derive(Clone)]
struct AtMost {
    characters: usize,
}

struct Run {
    left: usize,
}

impl StreamFilter for AtMost {
    fn open(&self, _: &mut Context<'_>) -> Option<Box<dyn StreamRun>> {
        Some(Box::new(Run {
            left: self.characters,
        }))
    }
}

#[async_trait(?Send)]
impl StreamRun for Run {
    async fn on_event(
        &mut self,
        event: StreamEvent,
        out: &mut Outbox,
    ) -> Result<StreamVerdict, FilterError> {
        let added: usize = event
            .text_delta()
            .iter()
            .map(|(_, text)| text.chars().count())
            .sum();
        match self.left.checked_sub(added) {
            Some(left) => {
                self.left = left;
                out.send(event);
                Ok(StreamVerdict::Continue)
            }
            None => Ok(StreamVerdict::Cut(Refusal::new("the answer is too long"))),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let filter = Filter::named("at_most").on_stream(AtMost { characters: 6 });
    let events = ["Hello", " world"].map(|text| {
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
    });
    let done = run_stream(Endpoint::ChatCompletions, &events, filter).await;
    assert_eq!(done.sent, events[0]);
    let message = "the answer is too long".to_owned();
    assert_eq!(
        done.reply,
        Reply::Refusal {
            status: None,
            message
        }
    );
}
