//! Checks over the whole configuration, when each section is read: what one section means for another, and
//! what only the running program knows (filter kinds, built-in columns).

mod models;

use std::path::Path;

use super::filters::FilterKinds;
use super::ip_net::{is_loopback, reaches};
use super::problem::Problem;
use super::suggest::closest;
use super::{Config, ProviderConfig};

/// First path segments that no provider may be named after, for they mean something else.
const RESERVED_NAMES: &[&str] = &[
    "v1",
    "v1beta",
    "model",
    "context",
    "providers",
    "routing",
    "logical-models",
    "users",
    "health",
    "healthz",
    "livez",
    "readyz",
    "version",
];

/// What the program that reads the configuration knows.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// The filters that there are.
    pub filters: &'a dyn FilterKinds,
    /// Columns of `exchanges` that are built in: no column of one's own may have such a name.
    pub built_in_columns: &'a [&'a str],
}

/// Collects problems with their places.
struct Check<'a> {
    config: &'a Config,
    problems: Vec<Problem>,
}

impl Config {
    /// Everything that is wrong across the sections; empty when all is well.
    pub fn check(&self, rules: &Rules<'_>) -> Vec<Problem> {
        let mut check = Check {
            config: self,
            problems: Vec::new(),
        };
        check.listeners();
        check.providers();
        check.models();
        check.filters(rules.filters);
        check.columns(rules.built_in_columns);
        check.problems
    }
}

impl Check<'_> {
    fn report(&mut self, path: &str, message: impl Into<String>) {
        let origin = self.config.origins.nearest(path);
        self.problems.push(Problem {
            origin,
            path: path.to_owned(),
            message: message.into(),
        });
    }

    fn listeners(&mut self) {
        let (server, admin) = (&self.config.server, &self.config.admin);
        if !is_loopback(&server.host) && !server.insecure {
            self.report(
                "server.host",
                "is not loopback: whoever reaches it may use the providers' keys and replay every record; \
                 set server.insecure: true if that is meant, or listen on 127.0.0.1",
            );
        }
        if !admin.enabled {
            return;
        }
        if !is_loopback(&admin.host) && admin.token.is_none() {
            let message = "is not loopback: set admin.token, or listen on 127.0.0.1";
            self.report("admin.host", message);
        }
        let meet = reaches(&server.host, &admin.host) || reaches(&admin.host, &server.host);
        if server.port == admin.port && server.port != 0 && meet {
            self.report("admin.port", "is the port of server too; give each its own");
        }
    }

    fn providers(&mut self) {
        let providers = &self.config.providers;
        if providers.is_empty() {
            self.report(
                "providers",
                "the list is empty; name a provider, or leave providers out to take OpenAI",
            );
        }
        for (index, provider) in providers.iter().enumerate() {
            let path = format!("providers[{index}]");
            self.provider_name(&path, provider);
            let earlier = &providers[..index];
            if earlier
                .iter()
                .any(|other| other.name.eq_ignore_ascii_case(&provider.name))
            {
                self.report(
                    &format!("{path}.name"),
                    "is the name of another provider; give each its own",
                );
            }
            self.prefix(&path, provider);
            self.provider_files(&path, provider);
            self.no_loop(&path, provider);
        }
    }

    fn provider_name(&mut self, path: &str, provider: &ProviderConfig) {
        let name = &provider.name;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let path = format!("{path}.name");
        if !name.starts_with(|c: char| c.is_ascii_alphanumeric())
            || !name.chars().all(plain)
            || name.len() > 63
        {
            self.report(
                &path,
                "allowed: a letter or digit, then at most 62 of letters, digits, `.`, `_` and `-`",
            );
        } else if RESERVED_NAMES.contains(&name.to_ascii_lowercase().as_str()) {
            self.report(
                &path,
                format!(
                    "is taken by a path of ours; not allowed: {}",
                    RESERVED_NAMES.join(", ")
                ),
            );
        }
    }

    /// A prefix that is another provider's name would send its models there.
    fn prefix(&mut self, path: &str, provider: &ProviderConfig) {
        let prefix = &provider.prefix;
        let path = format!("{path}.prefix");
        let is_plain = |c: char| !c.is_control() && !c.is_whitespace();
        let first = prefix.split('/').next().unwrap_or_default();
        let others = self.config.providers.iter();
        let mut others = others.filter(|other| other.name != provider.name);
        if prefix.starts_with('/') || prefix.ends_with('/') || !prefix.chars().all(is_plain) {
            self.report(
                &path,
                "allowed: a word without white space and without slashes at its ends",
            );
        } else if others.any(|other| other.name == first) {
            self.report(&path, "begins with the name of another provider");
        }
    }

    fn provider_files(&mut self, path: &str, provider: &ProviderConfig) {
        let files = [
            ("ca_cert", &provider.ca_cert),
            ("client_cert", &provider.client_cert),
            ("client_key", &provider.client_key),
        ];
        for (key, file) in files {
            if let Some(error) = file.as_deref().and_then(unreadable) {
                self.report(&format!("{path}.{key}"), format!("cannot be read: {error}"));
            }
        }
        match (&provider.client_cert, &provider.client_key) {
            (Some(_), None) => {
                self.report(&format!("{path}.client_cert"), "needs client_key beside it")
            }
            (None, Some(_)) => {
                self.report(&format!("{path}.client_key"), "needs client_cert beside it")
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    /// A shell that points `OPENAI_BASE_URL` at the proxy would make the proxy its own upstream.
    fn no_loop(&mut self, path: &str, provider: &ProviderConfig) {
        let (server, admin) = (&self.config.server, &self.config.admin);
        let (host, port) = (provider.base_url.host(), provider.base_url.port());
        let own = (port == server.port && reaches(host, &server.host))
            || (admin.enabled && port == admin.port && reaches(host, &admin.host));
        if own {
            self.report(
                &format!("{path}.base_url"),
                format!(
                    "{host}:{port} is this proxy itself: requests would go round for ever; give the upstream's own \
                     URL (is OPENAI_BASE_URL set for the programs that use the proxy?)"
                ),
            );
        }
    }

    fn filters(&mut self, kinds: &dyn FilterKinds) {
        let known = kinds.kinds();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        for filter in &self.config.filters {
            let place = &filter.place;
            if known.contains(&filter.kind.as_str()) {
                for problem in kinds.check_options(&filter.kind, &filter.options) {
                    let path = if problem.path.is_empty() {
                        place.clone()
                    } else {
                        format!("{place}.{}", problem.path)
                    };
                    self.report(&path, problem.message);
                }
                continue;
            }
            let meant = closest(&filter.kind, &known)
                .map(|meant| format!(" did you mean `{meant}`?"))
                .unwrap_or_default();
            let allowed = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            let message = format!("no such filter;{meant} allowed: {allowed}");
            self.report(&format!("{place}.kind"), message);
        }
    }

    fn columns(&mut self, built_in: &[&str]) {
        for column in &self.config.log.columns {
            if built_in.contains(&column.name.as_str()) {
                let path = format!("log.columns.{}", column.name);
                self.report(&path, "is a built-in column; choose another name");
            }
        }
    }
}

fn unreadable(file: &Path) -> Option<std::io::Error> {
    std::fs::File::open(file).err()
}
