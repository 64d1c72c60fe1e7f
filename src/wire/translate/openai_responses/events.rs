//! What the events of a streamed response are made of: texts that are spelt already.

use super::response::Status;

/// Which item, and its members in events.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub index: usize,
    pub id: String,
    pub members: String,
}

/// Numbers events.
#[derive(Debug, Default)]
pub(super) struct Events {
    next: u64,
}

impl Events {
    pub(super) fn add(&mut self, name: &str, members: &[&str], out: &mut Vec<u8>) {
        let number = self.next.to_string();
        self.next += 1;
        let begun = ["event: ", name, "\ndata: {\"type\":\"", name];
        let counted = ["\",\"sequence_number\":", &number, ","];
        for text in begun
            .iter()
            .chain(&counted)
            .chain(members)
            .chain(&["}\n\n"])
        {
            out.extend_from_slice(text.as_bytes());
        }
    }

    pub(super) fn item(&mut self, name: &str, place: &Place, item: &str, out: &mut Vec<u8>) {
        let index = place.index.to_string();
        self.add(
            name,
            &["\"output_index\":", &index, ",\"item\":", item],
            out,
        );
    }
}

/// A part of a message, as far as it was said.
#[derive(Debug)]
pub(super) struct Said {
    pub kind: Kind,
    pub text: String,
    /// Elements of its list.
    pub logprobs: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Refusal,
}

impl Kind {
    /// The name in events, and that of the text in a part.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Text => ("output_text", "text"),
            Self::Refusal => ("refusal", "refusal"),
        }
    }

    /// What the text's own events have besides. `logprobs`: elements of the list.
    pub(super) fn rest(self, logprobs: &str) -> String {
        match self {
            Self::Text => format!(",\"logprobs\":[{logprobs}]"),
            Self::Refusal => String::new(),
        }
    }
}

impl Said {
    /// A part of which nothing is said yet.
    pub(super) fn begin(
        kind: Kind,
        place: &Place,
        number: usize,
        events: &mut Events,
        out: &mut Vec<u8>,
    ) -> Self {
        let said = Self {
            kind,
            text: String::new(),
            logprobs: String::new(),
        };
        let (number, part) = (number.to_string(), said.part());
        let members = [&*place.members, "\"content_index\":", &number];
        let added = [members.as_slice(), &[",\"part\":", &part]].concat();
        events.add("response.content_part.added", &added, out);
        said
    }

    /// Says it whole, and gives it.
    pub(super) fn end(
        &self,
        place: &Place,
        number: usize,
        events: &mut Events,
        out: &mut Vec<u8>,
    ) -> String {
        let (number, part) = (number.to_string(), self.part());
        let members = [&*place.members, "\"content_index\":", &number];
        let (name, key) = self.kind.words();
        let rest = self.kind.rest(&self.logprobs);
        let said = [",\"", key, "\":\"", &self.text, "\"", &rest];
        events.add(
            &format!("response.{name}.done"),
            &[members.as_slice(), &said].concat(),
            out,
        );
        let done = [members.as_slice(), &[",\"part\":", &part]].concat();
        events.add("response.content_part.done", &done, out);
        part
    }

    fn part(&self) -> String {
        let Self {
            kind,
            text,
            logprobs,
        } = self;
        match kind {
            Kind::Text => format!(
                "{{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[{logprobs}],\"text\":\"{text}\"}}"
            ),
            Kind::Refusal => format!("{{\"type\":\"refusal\",\"refusal\":\"{text}\"}}"),
        }
    }
}

pub(super) fn word(status: Status) -> &'static str {
    match status {
        Status::Completed => "completed",
        Status::Incomplete(_) => "incomplete",
    }
}

pub(super) fn thought(place: &Place, text: &str, encrypted: &str) -> String {
    let summary = match text {
        "" => String::new(),
        text => format!("{{\"type\":\"summary_text\",\"text\":\"{text}\"}}"),
    };
    let encrypted = match encrypted {
        "" => String::new(),
        encrypted => format!(",\"encrypted_content\":\"{encrypted}\""),
    };
    format!(
        "{{\"id\":\"{}\",\"type\":\"reasoning\",\"summary\":[{summary}]{encrypted}}}",
        place.id
    )
}

pub(super) fn message(place: &Place, status: &str, parts: &[String]) -> String {
    format!(
        "{{\"id\":\"{}\",\"type\":\"message\",\"status\":\"{status}\",\"role\":\"assistant\",\"content\":[{}]}}",
        place.id,
        parts.join(",")
    )
}
