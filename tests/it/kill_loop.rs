//! F74, P2, P3: the real program is killed with SIGKILL again and again under a mixed load. In the end three books
//! are compared: what clients saw whole, what the upstream served, what is in the database.
//!
//! Half of the kills come the moment a client has seen the end of an answer: had the proxy let go of the end before
//! it was on record, that is when it shows (`tests/faults/negative_control` proves that it does). The other half
//! comes in the middle of answers. `AIPROXY_KILLS` says how many there are.

mod books;
mod load;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::db::block_on;
use crate::support::gateway::a_database;
use crate::support::process::{Program, Proxy, configure};
use crate::support::{from_environment, gateway};
use books::Books;
use load::{Load, When};

/// Connections that ask one question after the other.
const CLIENTS: usize = 32;

#[test]
fn f74_a_response_that_was_seen_whole_has_its_row() {
    let kills: u32 = from_environment("AIPROXY_KILLS").map_or(30, |n| n.parse().expect("a number"));
    let dir = TempDir::new().expect("a folder");
    let database_url = block_on(a_database(dir.path()));
    let (_mock, upstream) = Program::mock();
    let config = configure(dir.path(), upstream, &database_url, "");

    let load = Arc::new(Load::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let load = load.clone();
            std::thread::spawn(move || load.run(client))
        })
        .collect();
    let mut dice = Dice::default();
    let mut slowest_start = Duration::ZERO;
    for kill in 0..kills {
        let since = Instant::now();
        let proxy = Proxy::start(&config);
        slowest_start = slowest_start.max(since.elapsed());
        let when = if kill % 2 == 0 {
            When::EndsSeen(dice.between(100, 500))
        } else {
            When::Reads(dice.between(200, 1_500))
        };
        load.until_killed(proxy, when);
    }
    load.stop();
    let proxy = Proxy::start(&config);
    let asked = clients
        .into_iter()
        .flat_map(|client| client.join().expect("a client does not panic"))
        .collect();
    proxy.settle();
    proxy.stop();
    let books = Books::collect(asked, upstream, &database_url);
    println!("{kills} kills, slowest start {slowest_start:.0?}: {books}");
    books.check();
}

/// Numbers that nobody foresees.
#[derive(Default)]
struct Dice(std::hash::RandomState, u64);

impl Dice {
    fn between(&mut self, least: u64, most: u64) -> u64 {
        use std::hash::BuildHasher;
        self.1 += 1;
        least + self.0.hash_one(self.1) % (most - least)
    }
}

/// Longest time in which a kill must come.
const PATIENCE: Duration = gateway::PATIENCE;
