//! What every system's importer works with: problems, the comments that tell what was left out, and the values that all
//! of them have.

use std::cell::RefCell;

use crate::config::base_url::BaseUrl;
use crate::config::draft::{Line, Scalar, Yaml};
use crate::config::ip_net::is_loopback;
use crate::config::item::Item;
use crate::config::problem::Origin;
use crate::config::section::{Reading, Section, join, secret_from};
use crate::config::tree::{Entry, Node, Value};

use super::{System, Text};

/// One run of an importer.
pub(super) struct Taking<'a> {
    system: System,
    pub(super) reading: &'a Reading<'a>,
    kinds: &'a [&'a str],
    main: Text<'a>,
    left: RefCell<Vec<(Origin, String)>>,
    lacking: RefCell<Vec<String>>,
}

/// How values of a source refer to a variable (`LiteLLM`'s way, which the reader of Python uses too).
pub(super) const REFERENCE: &str = "os.environ/";

impl<'a> Taking<'a> {
    pub(super) fn new(
        system: System,
        reading: &'a Reading<'a>,
        kinds: &'a [&'a str],
        main: Text<'a>,
    ) -> Self {
        Self {
            system,
            reading,
            kinds,
            main,
            left: RefCell::default(),
            lacking: RefCell::default(),
        }
    }

    /// Notes that something has no counterpart, and why.
    pub(super) fn leave(&self, origin: &Origin, path: &str, why: &str) {
        let entry = (origin.clone(), format!("{path}: {why}"));
        self.left.borrow_mut().push(entry);
    }

    /// Notes every key that nobody asked for, with its reason from `known`.
    pub(super) fn leave_rest(&self, section: &Section<'_>, known: &[(&str, &str)]) {
        for entry in section.rest() {
            self.leave_entry(entry, section.path(), known);
        }
    }

    /// Notes one key that nobody asked for.
    pub(super) fn leave_entry(&self, entry: &Entry, path: &str, known: &[(&str, &str)]) {
        let reason = known.iter().find(|(key, _)| *key == entry.key);
        let why = reason.map_or("no key of that proxy that is known here", |(_, why)| why);
        self.leave(&entry.key_origin, &join(path, &entry.key), why);
    }

    /// The comments at the top.
    pub(super) fn into_head(self) -> Vec<String> {
        let mut left = self.left.into_inner();
        left.sort();
        left.dedup();
        let name = self.system.name();
        let mut head = vec![format!("Taken over from {name}: {}", self.main.file)];
        if !left.is_empty() {
            head.push("What has no counterpart here:".to_owned());
        }
        head.extend(left.into_iter().map(|(origin, said)| match origin {
            Origin::File { file, line, .. } if 0 < line => format!("  {file}:{line}: {said}"),
            Origin::File { .. } | Origin::Environment(_) | Origin::Flag(_) | Origin::Default => {
                format!("  {said}")
            }
        }));
        head
    }

    /// Notes that some of it needs this kind of provider, if there is none.
    pub(super) fn lack(&self, kind: &str) {
        let mut lacking = self.lacking.borrow_mut();
        if !self.kinds.contains(&kind) && !lacking.iter().any(|known| known == kind) {
            lacking.push(kind.to_owned());
        }
    }

    /// What is said about kinds that there are not; `None` when none was missed.
    pub(super) fn lacking(&self) -> Option<String> {
        let lacking = self.lacking.borrow();
        (!lacking.is_empty()).then(|| {
            format!(
                "this cannot be served yet: it needs providers of kind {}, and this build has {} alone",
                lacking.join(", "),
                self.kinds.join(", ")
            )
        })
    }

    /// Text, or the variable that holds it.
    pub(super) fn text(&self, node: &Node, path: &str) -> Option<Scalar> {
        let text = self.item(node).text(path)?;
        let scalar = match reference(&text) {
            Some(reference) => Scalar::Reference(reference.to_owned()),
            None => Scalar::Text(text),
        };
        Some(scalar)
    }

    /// The members of a list that has no key, with the path of each.
    pub(super) fn members<'b>(&'b self, node: &'b Node, path: &str) -> Vec<(String, Item<'b>)> {
        let Value::List(items) = &node.value else {
            let found = node.value.kind();
            self.item(node)
                .report(path, format!("expected a list, found {found}"));
            return Vec::new();
        };
        let items = items.iter().enumerate();
        items
            .map(|(index, node)| (format!("{path}[{index}]"), self.item(node)))
            .collect()
    }

    /// A credential, or the variable that holds it. `variable` stands for it where it cannot be written.
    pub(super) fn secret(&self, node: &Node, path: &str, variable: &str) -> Option<Scalar> {
        let item = self.item(node);
        let text = item.text(path)?;
        if let Some(reference) = reference(&text) {
            let (name, default) = reference.split_once(":-").unwrap_or((reference, ""));
            if !default.is_empty() {
                self.leave(
                    &node.origin,
                    path,
                    "its default beside the variable is no secret place; set the variable",
                );
            }
            return Some(Scalar::Reference(name.to_owned()));
        }
        match secret_from(&text) {
            Ok(secret) => Some(Scalar::Secret(secret, variable.to_owned())),
            Err(message) => {
                item.report(path, message);
                None
            }
        }
    }

    /// Where a provider is. What the text stands for is checked unless it is a variable.
    pub(super) fn url(
        &self,
        node: &Node,
        path: &str,
        change: impl Fn(&str) -> String,
    ) -> Option<Scalar> {
        let item = self.item(node);
        let text = item.text(path)?;
        if let Some(reference) = reference(&text) {
            return Some(Scalar::Reference(reference.to_owned()));
        }
        match BaseUrl::parse(&text) {
            Ok(url) => Some(Scalar::Text(change(url.as_str()))),
            Err(message) => {
                item.report(path, message);
                None
            }
        }
    }

    fn item<'b>(&'b self, node: &'b Node) -> Item<'b> {
        Item {
            node,
            reading: self.reading,
        }
    }

    /// `server` and, where the two would meet, `admin`. The port stays that of the other proxy, so that clients find it.
    pub(super) fn listeners(
        &self,
        section: &mut Section<'_>,
        keys: [&'static str; 2],
        default_port: u16,
    ) -> Vec<Line> {
        let [host_key, port_key] = keys;
        let given = section.item(port_key).map(|item| item.node.origin.clone());
        let port = section.number(port_key, default_port, 1..=65535);
        let mut server = Vec::new();
        if let Some(host) = section.text(host_key) {
            let line = Line::text(
                "host",
                if is_loopback(&host) {
                    host.as_str()
                } else {
                    "127.0.0.1"
                },
            );
            server.push(if is_loopback(&host) {
                line
            } else {
                line.saying(format!(
                    "{host} there; beyond loopback whoever reaches it may use the keys: it takes `insecure: true`"
                ))
            });
        }
        let line = Line::plain("port", port);
        server.push(if given.is_some() {
            line
        } else {
            line.saying(format!(
                "the port of {} where it names none",
                self.system.name()
            ))
        });
        let mut lines = vec![Line::new("server", Yaml::Section(server))];
        if port == ADMIN_PORT {
            let admin = vec![
                Line::plain("port", ADMIN_PORT + 1).saying("8001 is taken by the clients' port"),
            ];
            lines.push(Line::new("admin", Yaml::Section(admin)));
        }
        lines
    }

    /// `database`, said outright: without it the variable `DATABASE_URL` would count, which may be the other proxy's.
    pub(super) fn database(&self) -> Line {
        Line::new(
            "database",
            Yaml::Section(vec![Line::text("url", "sqlite://aiproxy.db")]),
        )
    }
}

/// Our admin port unless it is set.
const ADMIN_PORT: u16 = 8001;

/// What stands behind [`REFERENCE`]: a name, perhaps with a default as in our own `${NAME:-default}`.
pub(super) fn reference(text: &str) -> Option<&str> {
    let name = text.strip_prefix(REFERENCE)?;
    (!name.is_empty()).then_some(name)
}

/// A time limit of the whole request, as our limits.
pub(super) fn timeouts(seconds: f64) -> Line {
    let limits = ["first_byte_s", "idle_s", "total_s"];
    let lines = limits.map(|key| Line::plain(key, seconds)).into();
    Line::new("timeouts", Yaml::Section(lines))
}

/// Seconds of a key, if it is there and above zero.
pub(super) fn seconds(section: &mut Section<'_>, key: &'static str) -> Option<f64> {
    section.item(key)?;
    let limit = section.seconds(key, std::time::Duration::from_secs(1));
    Some(limit.as_secs_f64())
}

/// One name made of several, as a variable's.
pub(super) fn variable(parts: &[&str]) -> String {
    let joined = parts.join("_").to_ascii_uppercase();
    let name: String = joined
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{name}")
    } else {
        name
    }
}

/// Whether a value was left out on purpose.
pub(super) fn is_nothing(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Text { text, .. } | Value::Open { text, .. } => text.trim().is_empty(),
        Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => {
            false
        }
    }
}
