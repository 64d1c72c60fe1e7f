//! What of a configuration is used at the start only, so that another value waits for a restart.

use serde_json::Value;

use super::Config;

/// Sections and keys that are used at the start only.
const AT_START: &[&str] = &[
    "server.host",
    "server.port",
    "server.workers",
    "server.keep_alive_s",
    "server.shutdown_grace_s",
    "server.header_read_s",
    "admin",
    "database",
    "log.durability",
    "log.spool_dir",
    "log.spool_max_bytes",
    "log.on_spool_full",
    "log.queue_bytes",
    "log.retention",
    "log.columns",
    "redis",
    "telemetry",
];

impl Config {
    /// The paths of what differs from `started_with` and is used at the start only, in the order of the file.
    pub fn restart_needed(&self, started_with: &Self) -> Vec<String> {
        let (Ok(now), Ok(then)) = (
            serde_json::to_value(self),
            serde_json::to_value(started_with),
        ) else {
            return Vec::new();
        };
        let mut paths = Vec::new();
        for path in AT_START {
            let of = |config: &Value| {
                let pointer = format!("/{}", path.replace('.', "/"));
                config.pointer(&pointer).cloned().unwrap_or_default()
            };
            name_differences(path, &of(&now), &of(&then), &mut paths);
        }
        paths
    }

    /// Whether every value is the other one's, those that a hash could confuse included.
    pub fn is_same(&self, other: &Self) -> bool {
        let headers = |config: &Self| -> Vec<String> {
            let headers = config.providers.iter().flat_map(|some| &some.headers);
            headers
                .map(|header| header.value.expose().to_owned())
                .collect()
        };
        self.version == other.version
            && self.has_same_filters(other)
            && headers(self) == headers(other)
    }

    /// Whether the filters are the other one's, with the same options.
    pub fn has_same_filters(&self, other: &Self) -> bool {
        let shown = |config: &Self| serde_json::to_value(&config.filters).ok();
        let options = |config: &Self| -> Vec<Value> {
            let filters = config.filters.iter();
            filters.map(|filter| filter.options.clone()).collect()
        };
        shown(self) == shown(other) && options(self) == options(other)
    }
}

/// Of two sections the members that differ, of two other values the path.
fn name_differences(path: &str, now: &Value, then: &Value, paths: &mut Vec<String>) {
    match (now, then) {
        (Value::Object(now), Value::Object(then)) => {
            let gone = then.keys().filter(|key| !now.contains_key(*key));
            for key in now.keys().chain(gone) {
                if now.get(key) != then.get(key) {
                    paths.push(format!("{path}.{key}"));
                }
            }
        }
        _ if now != then => paths.push(path.to_owned()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Environment, Rules, load_text};
    use super::*;

    fn config(yaml: &str) -> Config {
        let rules = Rules {
            filters: &(),
            built_in_columns: &[],
        };
        load_text(
            Path::new("aiproxy.yaml"),
            yaml,
            &Environment::default(),
            &rules,
        )
        .expect("a configuration")
    }

    #[test]
    fn what_is_used_at_the_start_only_is_named() {
        let before = config("log: { columns: { team: { from: request.header.x-team } } }");
        for (yaml, expected) in [
            (
                "server: { port: 9, max_streams: 7 }",
                "server.port log.columns.team",
            ),
            ("log: { bodies: none }", "log.columns.team"),
            (
                "admin: { token: t }\ntelemetry: { log_level: debug }\nlog: { columns: { team: { from: request.header.x-team } } }",
                "admin.token telemetry.log_level",
            ),
            (
                "redis: { url: \"redis://h\" }\nlog: { retention: { bodies_days: 1 }, columns: { team: { from: request.header.y } } }",
                "log.retention.bodies_days log.columns.team redis.url",
            ),
        ] {
            let paths = config(yaml).restart_needed(&before);
            assert_eq!(paths.join(" "), expected, "{yaml}");
        }
        assert_eq!(before.restart_needed(&before), [""; 0]);
    }

    #[test]
    fn a_value_that_only_a_mask_hides_is_another() {
        let with = |value: &str| {
            let provider = "{ name: a, kind: openai, headers: { authorization: \"VALUE\" } }";
            config(&format!(
                "providers: [{}]",
                provider.replace("VALUE", value)
            ))
        };
        let (bearer, token) = (with("Bearer abcdefgh"), with("Token abcdefgh"));
        assert_eq!(bearer.version(), token.version());
        assert!(!bearer.is_same(&token) && bearer.is_same(&with("Bearer abcdefgh")));
    }
}
