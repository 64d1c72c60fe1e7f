//! From the sources to a checked configuration: file, then environment, then flags, each laid over the one
//! before; then every section is read and everything that is wrong is told at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::access_log::read_log;
use super::check::Rules;
use super::database::read_database;
use super::environment::Environment;
use super::filters::{FilterConfig, read_filter};
use super::models::read_models;
use super::origins::Origins;
use super::overlay::{Override, overlay_environment, overlay_flags};
use super::prices::read_prices;
use super::problem::{Origin, Problem, Problems};
use super::providers::{ProviderConfig, read_provider};
use super::routing::read_routing;
use super::section::{Reading, Section};
use super::server::{read_admin, read_server};
use super::shared_state::read_redis;
use super::telemetry::read_telemetry;
use super::tree::{Node, parse};
use super::{Config, fallback, substitute};

/// Where a configuration comes from.
pub struct Sources {
    /// The file that the command line names.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Environment,
    /// What flags set, in their order.
    pub overrides: Vec<Override>,
    /// The folder in which `aiproxy.yaml` is looked for.
    pub folder: PathBuf,
}

impl Sources {
    /// The sources of this process, without flags.
    pub fn of_process(file: Option<PathBuf>) -> Self {
        Self {
            file,
            environment: Environment::from_process(),
            overrides: Vec::new(),
            folder: PathBuf::from("."),
        }
    }

    /// The file that is used: the one that the command line names, `$AIPROXY_CONFIG`, `aiproxy.yaml` in the folder,
    /// `~/.config/aiproxy/config.yaml`. `None` when there is none. A file that is named need not exist.
    pub fn config_file(&self) -> Option<PathBuf> {
        let [named, by_variable, here, home] = self.places().map(|(_, file)| file);
        let found = [here, home]
            .into_iter()
            .flatten()
            .find(|file| file.is_file());
        named.or(by_variable).or(found)
    }

    /// Where the file is looked for, in this order: whence, and which file that is; `None` where nothing is set.
    pub fn places(&self) -> [(&'static str, Option<PathBuf>); 4] {
        let by_variable = match self.environment.lookup("AIPROXY_CONFIG") {
            Ok(Some(file)) if !file.is_empty() => Some(self.environment.expand_home(&file)),
            Ok(_) | Err(_) => None,
        };
        let here = if self.folder == Path::new(".") {
            PathBuf::from("aiproxy.yaml")
        } else {
            self.folder.join("aiproxy.yaml")
        };
        let home = self
            .environment
            .expand_home("~/.config/aiproxy/config.yaml");
        [
            ("--config", self.file.clone()),
            ("$AIPROXY_CONFIG", by_variable),
            ("this folder", Some(here)),
            ("home", Some(home)),
        ]
    }
}

/// Reads, resolves and checks a configuration.
///
/// # Errors
/// Everything that is wrong, in the order of the file.
pub fn load(sources: &Sources, rules: &Rules<'_>) -> Result<Config, Problems> {
    let mut problems = Vec::new();
    let file = sources.config_file();
    let root = match &file {
        Some(file) => read_file(file).map_err(|problem| Problems(vec![problem]))?,
        None => fallback::tree_without_file(&sources.environment, &mut problems),
    };
    let layers = (&sources.environment, sources.overrides.as_slice());
    resolve(root, file, layers, problems, rules)
}

/// As [`load`], for what `file` will hold: it is not read, and no flags are laid over it.
///
/// # Errors
/// As [`load`].
pub fn load_text(
    file: &Path,
    yaml: &str,
    environment: &Environment,
    rules: &Rules<'_>,
) -> Result<Config, Problems> {
    let name: Arc<str> = file.display().to_string().into();
    let root = parse(&name, yaml).map_err(|problem| Problems(vec![problem]))?;
    let layers = (environment, [].as_slice());
    resolve(root, Some(file.to_owned()), layers, Vec::new(), rules)
}

/// Lays environment and flags over a tree, reads every section and checks the whole.
fn resolve(
    mut root: Node,
    file: Option<PathBuf>,
    (environment, overrides): (&Environment, &[Override]),
    mut problems: Vec<Problem>,
    rules: &Rules<'_>,
) -> Result<Config, Problems> {
    substitute::substitute(&mut root, "", environment, &mut problems);
    overlay_environment(&mut root, environment, &mut problems);
    overlay_flags(&mut root, overrides, &mut problems);

    let reading = Reading::new(environment, problems);
    let mut config = read_root(&root, file, &reading);
    let mut problems = reading.into_problems();
    for problem in config.check(rules) {
        // A key that could not be read has its default; what that default breaks is no news.
        if !problems.iter().any(|known| known.path == problem.path) {
            problems.push(problem);
        }
    }
    if let Err(error) = seal(&mut config) {
        problems.push(error);
    }
    if problems.is_empty() {
        return Ok(config);
    }
    problems.sort();
    problems.dedup();
    Err(Problems(problems))
}

fn read_file(file: &Path) -> Result<Node, Problem> {
    let name: Arc<str> = file.display().to_string().into();
    let whole = |message: String| Problem {
        origin: Origin::File {
            file: Arc::clone(&name),
            line: 0,
            column: 0,
        },
        path: String::new(),
        message,
    };
    let bytes = std::fs::read(file).map_err(|error| whole(format!("cannot be read: {error}")))?;
    let yaml = String::from_utf8(bytes).map_err(|_| whole("is not UTF-8".to_owned()))?;
    parse(&name, yaml.strip_prefix('\u{feff}').unwrap_or(&yaml))
}

fn read_root(root: &Node, file: Option<PathBuf>, reading: &Reading<'_>) -> Config {
    let mut section = Section::new(root, String::new(), reading);
    let routing = read_routing(section.section("routing"));
    let providers = read_providers(&mut section, file.is_none());
    let config = Config {
        server: read_server(section.section("server")),
        admin: read_admin(section.section("admin")),
        database: read_database(section.section("database")),
        log: read_log(section.section("log")),
        models: read_models(&mut section, &routing, &providers),
        providers,
        routing,
        prices: read_prices(&mut section),
        filters: read_filters(&mut section),
        redis: read_redis(section.section("redis")),
        telemetry: read_telemetry(section.section("telemetry")),
        origins: Origins::of_tree(root),
        file,
        shown: String::new(),
        version: String::new(),
    };
    section.finish();
    config
}

fn read_providers(root: &mut Section<'_>, without_file: bool) -> Vec<ProviderConfig> {
    let reading = root.reading();
    match root.list("providers") {
        Some(items) => items
            .into_iter()
            .map(|(path, item)| read_provider(Section::new(item.node, path, reading)))
            .collect(),
        None => fallback::providers(reading, without_file),
    }
}

fn read_filters(root: &mut Section<'_>) -> Vec<FilterConfig> {
    let reading = root.reading();
    root.list("filters")
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(path, item)| read_filter(Section::new(item.node, path, reading)))
        .collect()
}

/// Writes the masked text once, and its hash: from here on nothing changes.
fn seal(config: &mut Config) -> Result<(), Problem> {
    config.shown = serde_saphyr::to_string(&config).map_err(|error| Problem {
        origin: Origin::Default,
        path: String::new(),
        message: format!("cannot be written out: {error}"),
    })?;
    let digest = Sha256::digest(config.shown.as_bytes());
    config.version = digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(())
}
