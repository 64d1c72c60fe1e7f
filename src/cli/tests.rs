//! What the command line takes, command by command.

use std::path::Path;

use clap::{CommandFactory, FromArgMatches};

use super::*;

/// Parses `words` as the options of one command alone.
fn parsed<A: clap::Args + FromArgMatches>(words: &str) -> Result<A, String> {
    let command = A::augment_args(clap::Command::new("test").no_binary_name(true));
    let matches = command.try_get_matches_from(words.split_whitespace());
    let matches = matches.map_err(|error| error.to_string())?;
    A::from_arg_matches(&matches).map_err(|error| error.to_string())
}

fn cli(words: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("aiproxy").chain(words.split_whitespace()))
}

#[test]
fn the_grammar_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn help_is_short_or_long() {
    let short = cli("-h").expect_err("help").to_string();
    insta::assert_snapshot!("help_short", short);
    assert!(cli("--help").expect_err("help").to_string().len() > short.len());
    assert!(cli("-H host").is_ok());
}

#[test]
fn a_word_is_a_command_or_else_a_file() {
    assert!(matches!(
        cli("config show").expect("valid").command,
        Some(Command::Config(_))
    ));
    let file = cli("my.yaml --port 1").expect("valid");
    assert_eq!(file.serve.file.as_deref(), Some(Path::new("my.yaml")));
    assert!(file.command.is_none());
    for wrong in [
        "config",
        "config nothing",
        "a.yaml b.yaml",
        "--nothing",
        "--port 99999",
        "--log-format xml",
    ] {
        let error = cli(wrong).expect_err(wrong);
        assert!(error.use_stderr(), "{wrong}");
    }
}

#[test]
fn options_of_every_command_stand_before_or_behind_it() {
    for words in [
        "-c a.yaml -v config path",
        "config path -c a.yaml -v",
        "config -v path --config a.yaml",
    ] {
        let cli = cli(words).expect(words);
        assert_eq!(
            cli.globals.config.as_deref(),
            Some(Path::new("a.yaml")),
            "{words}"
        );
        assert_eq!(cli.globals.verbose, 1, "{words}");
    }
}

#[test]
fn old_names_of_options_work() {
    for words in [
        "--connection-str a --openai-api-key k",
        "--connection_str a --openai_api_key k",
    ] {
        let cli = cli(words).expect(words);
        assert_eq!(cli.serve.database_url.as_deref(), Some("a"), "{words}");
        assert_eq!(cli.serve.openai_api_key.as_deref(), Some("k"), "{words}");
    }
    assert!(cli("--show").expect("valid").show);
    let refresh = cli("--refresh-available-models").expect("valid");
    assert!(refresh.refresh_available_models);
}

#[test]
fn the_mock_s_help_names_its_models() {
    let help = cli("mock --help").expect_err("help").to_string();
    assert!(
        help.contains("mock-err-429") && help.contains("usage-WORD"),
        "{help}"
    );
}

#[test]
fn flags_set_their_keys() {
    let args: serve::Args = parsed("-H ::1 -p 1 --admin-port 2 --database-url u").expect("valid");
    let set: Vec<String> = args
        .overrides()
        .iter()
        .map(|one| format!("{} {} {}", one.path.join("."), one.flag, one.value))
        .collect();
    assert_eq!(
        set,
        [
            "server.host --host ::1",
            "server.port --port 1",
            "admin.port --admin-port 2",
            "database.url --database-url u"
        ]
    );
}

#[test]
fn what_stands_behind_the_command_wins() {
    let before: serve::Args = parsed("a.yaml -p 1 -H h").expect("valid");
    let behind: serve::Args = parsed("-p 2").expect("valid");
    let both = behind.or(before);
    assert_eq!((both.port, both.host.as_deref()), (Some(2), Some("h")));
    assert_eq!(both.file.as_deref(), Some(Path::new("a.yaml")));
}

#[test]
fn debug_shows_no_credential() {
    let args: serve::Args =
        parsed("--openai-api-key canary --database-url postgres://u:canary@h").expect("valid");
    assert!(!format!("{args:?}").contains("canary"));
}

#[test]
fn verbose_raises_the_level_and_never_lowers_it() {
    use crate::config::LogLevel;
    for (words, configured, level) in [
        ("", LogLevel::Warn, LogLevel::Warn),
        ("-v", LogLevel::Off, LogLevel::Debug),
        ("-v", LogLevel::Trace, LogLevel::Trace),
        ("-vv", LogLevel::Info, LogLevel::Trace),
        ("-vvv", LogLevel::Info, LogLevel::Trace),
    ] {
        assert_eq!(
            cli(words).expect(words).globals.log_level(configured),
            level,
            "{words}"
        );
    }
}

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

#[test]
fn logs_lists_or_shows_one() {
    let list: logs::Args =
        parsed("--since 2h --until 2026-01-31 --model gpt-* --user u --outcome ok --grep x --limit 5 --json")
            .expect("valid");
    assert_eq!(
        (list.filter.limit, list.json, list.action.is_none()),
        (5, true, true)
    );
    assert_eq!(parsed::<logs::Args>("").expect("valid").filter.limit, 20);
    let show: logs::Args = parsed(&format!("show {ID} --json")).expect("valid");
    assert!(
        matches!(show.action, Some(logs::Action::Show { id, json: true, pretty: false }) if id.to_string() == ID)
    );
    for wrong in [
        "show",
        "show 5",
        "--limit 0",
        "--since soon",
        "nothing",
        "--json show 5",
        "--outcome fine",
        &format!("show {ID} --json --pretty"),
    ] {
        assert!(parsed::<logs::Args>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_unknown_outcome_is_told_with_those_that_there_are() {
    let error = parsed::<logs::Args>("--outcome fine").expect_err("wrong");
    assert!(error.contains("`upstream_truncated`"), "{error}");
}

#[test]
fn replay_takes_an_id_and_a_speed() {
    for (words, speed, head) in [
        ("", 0.0, false),
        ("--speed 1", 1.0, false),
        ("--speed 2.5 --head", 2.5, true),
    ] {
        let args: replay::Args = parsed(&format!("{ID} {words}")).expect(words);
        assert_eq!(
            (args.id.to_string().as_str(), args.speed, args.head),
            (ID, speed, head)
        );
    }
    for wrong in [
        "",
        "5",
        &format!("{ID} --speed -1"),
        &format!("{ID} --speed fast"),
        &format!("{ID} --speed inf"),
    ] {
        assert!(parsed::<replay::Args>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_other_commands_take_little() {
    assert_eq!(
        parsed::<migrate::Args>("up").map(|args| args.action),
        Ok(migrate::Action::Up)
    );
    assert_eq!(
        parsed::<migrate::Args>("status").map(|args| args.action),
        Ok(migrate::Action::Status)
    );
    assert!(parsed::<migrate::Args>("").is_err());
    assert_eq!(
        parsed::<mock::Args>("-p 0").map(|args| (args.host, args.port)),
        Ok((std::net::IpAddr::from([127, 0, 0, 1]), 0))
    );
    assert!(parsed::<prune::Args>("").is_ok() && parsed::<prune::Args>("now").is_err());
    assert!(parsed::<demo::Args>("").is_ok() && parsed::<demo::Args>("now").is_err());
}
