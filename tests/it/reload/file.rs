//! The file is looked at again and again.

use std::os::unix::fs::symlink;
use std::time::Duration;

use super::{count, edit, file_of, read, reloading_by, upstream, words, write};
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{TestGateway, Wanted, wait_until};

const EVERY: Duration = Duration::from_millis(8);

fn watching(upstream: &FakeUpstream) -> TestGateway {
    let wanted = Wanted {
        upstream: Some(upstream.base_url()),
        ..Wanted::default()
    };
    reloading_by(wanted, Some(EVERY), &[])
}

fn wait_for(gateway: &TestGateway, result: &str, expected: f64) {
    wait_until("the file was read", || count(gateway, result) == expected);
}

#[test]
fn a_file_that_changes_is_read() {
    let (first, second) = (upstream("one"), upstream("two"));
    let gateway = watching(&first);
    assert_eq!(words(&gateway), "one");
    edit(&gateway, &first.base_url(), &second.base_url());
    wait_for(&gateway, "applied", 1.0);
    assert_eq!(words(&gateway), "two");
    let comment = format!("# a comment\n{}", read(&gateway));
    write(&gateway, &comment);
    wait_for(&gateway, "unchanged", 1.0);
}

#[test]
fn a_link_that_leads_elsewhere_is_followed() {
    let (first, second) = (upstream("one"), upstream("two"));
    let gateway = watching(&first);
    let text = read(&gateway);
    let folder = |name: &str| gateway.dir.path().join(name);
    let fill = |name: &str, text: &str| {
        std::fs::create_dir(folder(name)).expect("a folder");
        std::fs::write(folder(name).join("aiproxy.yaml"), text).expect("a file");
    };
    // As Kubernetes does it: the file is a link into a folder that is a link itself.
    let point = |name: &str| {
        symlink(name, folder("new-data")).expect("a link");
        std::fs::rename(folder("new-data"), folder("data")).expect("a rename");
    };
    fill("one", &text);
    fill("two", &text.replace(&first.base_url(), &second.base_url()));
    point("one");
    symlink("data/aiproxy.yaml", folder("link")).expect("a link");
    std::fs::rename(folder("link"), file_of(&gateway)).expect("a rename");
    assert_eq!(words(&gateway), "one");
    point("two");
    wait_for(&gateway, "applied", 1.0);
    assert_eq!(words(&gateway), "two");
}

#[test]
fn f87_a_wrong_file_is_told_once_and_read_again_when_it_changes() {
    let (first, second) = (upstream("one"), upstream("two"));
    let gateway = watching(&first);
    let good = read(&gateway);
    let better = good.replace(&first.base_url(), &second.base_url());
    let (half, _) = better.split_at(better.find("base_url").expect("a provider") + 4);
    write(&gateway, half);
    wait_for(&gateway, "failed", 1.0);
    for _ in 0..3 {
        assert_eq!(words(&gateway), "one");
    }
    // Somebody has begun to write it: a file without anything would be a configuration of defaults.
    write(&gateway, "\n");
    assert_eq!(words(&gateway), "one");
    write(&gateway, &better);
    wait_for(&gateway, "applied", 1.0);
    assert_eq!(
        (words(&gateway), count(&gateway, "failed")),
        ("two".to_owned(), 1.0)
    );
    std::fs::remove_file(file_of(&gateway)).expect("a file");
    wait_for(&gateway, "failed", 2.0);
    assert_eq!(words(&gateway), "two");
    write(&gateway, &good);
    wait_for(&gateway, "applied", 2.0);
    assert_eq!(words(&gateway), "one");
}
