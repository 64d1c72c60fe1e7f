use std::time::Duration;

use async_trait::async_trait;

use super::super::tests::trail;
use super::*;
use crate::testing::{ExchangeBuilder, FakeClock, Reply};
use crate::{
    Context, Endpoint, Filter, FilterError, OnError, Outbox, Refusal, StreamRun, StreamVerdict,
};

/// All events as one answer, and back as one event.
struct Joined;

impl WholeStream for Joined {
    fn fold(&self, events: &[StreamEvent]) -> LlmResponse {
        LlmResponse::answer(
            events
                .iter()
                .filter_map(StreamEvent::data)
                .collect::<String>(),
        )
    }

    fn unfold(
        &self,
        _: Vec<StreamEvent>,
        _: &LlmResponse,
        after: &LlmResponse,
    ) -> Vec<StreamEvent> {
        let text = after.text().unwrap_or_default();
        vec![StreamEvent::from_data(Endpoint::ChatCompletions, &text)]
    }
}

/// Doubles every event.
struct Doubles;

#[async_trait(?Send)]
impl StreamRun for Doubles {
    async fn on_event(
        &mut self,
        event: StreamEvent,
        out: &mut Outbox,
    ) -> Result<StreamVerdict, FilterError> {
        if event.data() == Some("!") {
            return Ok(StreamVerdict::Cut(Refusal::new("no")));
        }
        out.send(event.clone());
        out.send(event);
        Ok(StreamVerdict::Continue)
    }
}

fn doubles() -> Filter {
    Filter::named("doubles").on_stream(|_: &mut Context<'_>| {
        let run: Box<dyn StreamRun> = Box::new(Doubles);
        Some(run)
    })
}

#[tokio::test]
async fn of_a_stream_that_one_filter_buffers_each_sees_its_part_in_order() {
    for (filters, sent) in [
        ([trail("buffer"), doubles(), trail("a")], "0011buffer"),
        ([doubles(), trail("buffer"), trail("a")], "01buffer01buffer"),
    ] {
        let entries = filters.map(Entry::new).to_vec();
        let exchange = ExchangeBuilder::chat_text("{}");
        let mut run = exchange.run(entries, FakeClock::new()).unwrap();
        let events = ["0", "1"].map(|data| StreamEvent::from_data(Endpoint::ChatCompletions, data));
        let events = run.whole_stream(events.to_vec(), &Joined).await.unwrap();
        let got: String = events.iter().filter_map(StreamEvent::data).collect();
        assert_eq!(got, sent);
        let phases = run.verdicts().iter().map(|verdict| verdict.phase);
        assert!(
            phases.clone().eq([Phase::Stream, Phase::Response])
                || phases.eq([Phase::Response, Phase::Stream])
        );
        let cuts = vec![StreamEvent::from_data(Endpoint::ChatCompletions, "!")];
        if sent == "0011buffer" {
            let stop = run.whole_stream(cuts, &Joined).await.unwrap_err();
            assert_eq!((&*stop.by, stop.phase), ("doubles", Phase::Stream));
        }
    }
}

#[test]
fn opening_a_stream_is_a_call_like_others() {
    for (on_error, skips) in [(OnError::Skip, true), (OnError::Refuse, false)] {
        let clock = FakeClock::new();
        let slow = Arc::clone(&clock);
        let keeps = Filter::named("keeps").on_stream(move |cx: &mut Context<'_>| {
            cx.tag("a", 1);
            slow.advance(Duration::from_secs(2));
            let run: Box<dyn StreamRun> = Box::new(Doubles);
            Some(run)
        });
        let entry = Entry::new(keeps).on_error(on_error);
        let mut run = ExchangeBuilder::chat_text("{}")
            .run(vec![entry], clock)
            .unwrap();
        match run.open_stream() {
            Ok(stream) => assert!(skips && stream.is_none() && !run.has_tags()),
            Err(stop) => assert_eq!(
                (skips, Reply::from(&stop)),
                (false, Reply::Failure("blocked"))
            ),
        }
        assert_eq!(run.filter_time(), Duration::from_secs(2));
    }
}
