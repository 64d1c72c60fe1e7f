//! The stream half: holds an event while the end of its text may still become part of a match.
use std::collections::{BTreeMap, VecDeque};

use async_trait::async_trait;

use super::lane::Lane;
use super::matcher::Follower;
use super::{Action, BlockPatterns};
use crate::{
    EventKind, FilterError, Outbox, Refusal, StreamEnd, StreamEvent, StreamRun, StreamVerdict,
};

/// One stream. Events leave in the order in which they came.
pub(super) struct Run {
    filter: BlockPatterns,
    lanes: BTreeMap<u64, Lane>,
    waiting: VecDeque<Waiting>,
    follower: Follower,
}

struct Waiting {
    event: StreamEvent,
    /// Per choice, how many bytes of text the event adds.
    pieces: Vec<(u64, usize)>,
}

impl Run {
    pub(super) fn new(filter: BlockPatterns) -> Self {
        Self {
            filter,
            lanes: BTreeMap::new(),
            waiting: VecDeque::new(),
            follower: Follower::default(),
        }
    }

    fn take(&mut self, event: StreamEvent) {
        let mut pieces = Vec::new();
        for (choice, text) in event.text_delta() {
            self.lanes.entry(choice).or_default().push(&text);
            pieces.push((choice, text.len()));
        }
        for choice in event.ended_choices() {
            self.lanes.entry(choice).or_default().complete();
        }
        match event.kind() {
            EventKind::Done | EventKind::Usage | EventKind::Error => self.complete(),
            EventKind::Delta | EventKind::Comment | EventKind::Other => {}
        }
        self.waiting.push_back(Waiting { event, pieces });
    }

    fn complete(&mut self) {
        self.lanes.values_mut().for_each(Lane::complete);
    }

    /// Decides what can be decided; a cut when there is a match and it is to be refused.
    fn decide(&mut self) -> StreamVerdict {
        let mut found = None;
        for lane in self.lanes.values_mut() {
            found = lane
                .decide(&self.filter.matcher, &mut self.follower)
                .or(found);
        }
        let matcher = &self.filter.matcher;
        let repeated = || {
            let last = self.waiting.back()?;
            last.event
                .whole_texts()
                .iter()
                .find_map(|(_, text)| matcher.first(text))
        };
        match &self.filter.action {
            Action::Mask(_) => StreamVerdict::Continue,
            Action::Refuse { message, status } => {
                match found.map(|pattern| matcher.name(pattern)).or_else(repeated) {
                    Some(name) => StreamVerdict::Cut(
                        Refusal::new(message).with_status(*status).with_reason(name),
                    ),
                    None => StreamVerdict::Continue,
                }
            }
        }
    }

    /// Lets out every event whose text is decided, up to the first that must wait.
    fn release(&mut self, out: &mut Outbox) {
        while let Some(first) = self.waiting.front() {
            let mut needed: BTreeMap<u64, usize> = BTreeMap::new();
            for (choice, length) in &first.pieces {
                *needed.entry(*choice).or_default() += length;
            }
            let decided = |(choice, length): (&u64, &usize)| {
                self.lanes
                    .get(choice)
                    .is_none_or(|lane| lane.is_decided(*length))
            };
            if !needed.iter().all(decided) {
                break;
            }
            let Some(waiting) = self.waiting.pop_front() else {
                break;
            };
            let event = self.masked(waiting.event);
            out.send(event);
        }
    }

    fn masked(&mut self, mut event: StreamEvent) -> StreamEvent {
        let mask = match &self.filter.action {
            Action::Mask(mask) => mask.as_str(),
            Action::Refuse { .. } => "",
        };
        let lanes = &mut self.lanes;
        event.map_text_deltas(&mut |choice, text| {
            let delivered = lanes.get_mut(&choice)?.deliver(text.len(), mask);
            (delivered != text).then_some(delivered)
        });
        event.map_whole_texts(&mut |_, text| match &self.filter.action {
            Action::Mask(mask) => self.filter.matcher.mask(text, mask),
            Action::Refuse { .. } => None,
        });
        event
    }
}

#[async_trait(?Send)]
impl StreamRun for Run {
    async fn on_event(
        &mut self,
        event: StreamEvent,
        out: &mut Outbox,
    ) -> Result<StreamVerdict, FilterError> {
        self.take(event);
        let verdict = self.decide();
        if matches!(verdict, StreamVerdict::Continue) {
            self.release(out);
        }
        Ok(verdict)
    }

    async fn on_end(
        &mut self,
        _: &StreamEnd,
        out: &mut Outbox,
    ) -> Result<StreamVerdict, FilterError> {
        self.complete();
        let verdict = self.decide();
        if matches!(verdict, StreamVerdict::Continue) {
            self.release(out);
        }
        Ok(verdict)
    }
}
