//! The file of the configuration: where it is, and how it is edited.

use std::os::unix::fs::PermissionsExt;

use super::{aiproxy, folder_with, program, text};
use crate::support::terminal::Terminal;

const BEFORE: &str = "server: { port: 9000 }\n";

#[test]
fn the_file_takes_its_new_form_only_when_that_is_right() {
    let right = "sed -i s/9000/9001/";
    for (variables, code, after, said) in [
        (
            [("EDITOR", right), ("X", "")],
            0,
            "server: { port: 9001 }\n",
            "no problems; saved",
        ),
        (
            [("EDITOR", "false"), ("VISUAL", right)],
            0,
            "server: { port: 9001 }\n",
            "saved",
        ),
        (
            [("EDITOR", "true"), ("VISUAL", "")],
            0,
            BEFORE,
            "nothing changed",
        ),
        (
            [("EDITOR", "sed -i s/port/prot/"), ("X", "")],
            2,
            BEFORE,
            "unknown key",
        ),
        (
            [("EDITOR", "sed -i s/}//"), ("X", "")],
            2,
            BEFORE,
            "is as it was",
        ),
        (
            [("EDITOR", "false"), ("X", "")],
            1,
            BEFORE,
            "the editor ($EDITOR) failed",
        ),
        ([("EDITOR", "rm"), ("X", "")], 2, BEFORE, "cannot be read"),
    ] {
        let folder = folder_with(BEFORE);
        let file = folder.path().join("aiproxy.yaml");
        let mode = std::fs::Permissions::from_mode(0o640);
        std::fs::set_permissions(&file, mode).expect("set");
        let mut all = vec![("PATH", "/usr/bin:/bin")];
        all.extend(variables);
        let output = aiproxy(folder.path(), "config edit", &all);
        let told = text(&[output.stdout, output.stderr].concat());
        assert_eq!(output.status.code(), Some(code), "{variables:?}: {told}");
        assert!(told.contains(said), "{variables:?}: {told}");
        assert_eq!(std::fs::read_to_string(&file).expect("a file"), after);
        let mode = std::fs::metadata(&file)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o640);
        let files = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(files, 1, "{variables:?}: a copy is left");
    }
    let empty = tempfile::tempdir().expect("a folder");
    let output = aiproxy(empty.path(), "config edit", &[("EDITOR", "true")]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn on_a_terminal_what_is_wrong_may_be_edited_again() {
    // Wrong at first, right the second time.
    let editor = r"sed -i -e s/port/PORT/ -e t -e s/PORT:.9000/port:\x209001/";
    for (answer, said, code, after) in [
        ("", "no problems; saved", 0, "server: { port: 9001 }\n"),
        ("yes", "no problems; saved", 0, "server: { port: 9001 }\n"),
        ("n", "is as it was: what was written is wrong", 2, BEFORE),
    ] {
        let folder = folder_with(BEFORE);
        let variables = [("PATH", "/usr/bin:/bin"), ("EDITOR", editor)];
        let mut terminal = Terminal::start(&program(folder.path(), "config edit", &variables));
        terminal.wait("PORT: unknown key");
        terminal.answer_line("edit again? [Y/n] ", answer);
        terminal.wait(said);
        assert_eq!(terminal.exit_code(), Some(code), "{answer}");
        let file = folder.path().join("aiproxy.yaml");
        assert_eq!(std::fs::read_to_string(file).expect("a file"), after);
    }
}

#[test]
fn the_path_is_told_with_the_places_that_were_looked_at() {
    let folder = folder_with(BEFORE);
    for (variables, used, places) in [
        (
            [("HOME", "/h")].as_slice(),
            "aiproxy.yaml\n",
            "used: this folder: aiproxy.yaml",
        ),
        (
            &[("HOME", "/h")],
            "aiproxy.yaml\n",
            "looked at: home: /h/.config/aiproxy/config.yaml",
        ),
        (
            &[("AIPROXY_CONFIG", "b.yaml")],
            "b.yaml\n",
            "used: $AIPROXY_CONFIG: b.yaml",
        ),
        (&[], "aiproxy.yaml\n", "looked at: --config: not set"),
    ] {
        let output = aiproxy(folder.path(), "config path", variables);
        assert_eq!(text(&output.stdout), used);
        let told = text(&output.stderr);
        assert!(told.contains(places), "{told}");
    }
}
