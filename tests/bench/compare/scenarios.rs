//! What is measured in turns with nginx: CPU per request and per chunk, and the time that is added.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::client;
use crate::load::{self, Ask, Tally};
use crate::process::Cpu;
use crate::stamped;
use crate::table::{Line, median, quantile};
use crate::targets::{Bench, Kind, Rows, Target, plain};

/// Requests before a measurement begins.
pub(crate) const WARM_UP: u64 = 1_000;
/// Connections of the closed loops.
pub(crate) const CONNECTIONS: usize = 32;

/// What all scenarios share.
pub(crate) struct Series {
    /// Programs and folder.
    pub(crate) bench: Bench,
    /// Where the mock listens.
    pub(crate) mock: SocketAddr,
    /// Runs of each scenario.
    pub(crate) runs: usize,
    /// What came out.
    pub(crate) lines: Vec<Line>,
    /// Answers and rows, over all scenarios.
    pub(crate) counts: Counts,
}

/// Answers and rows, over all scenarios.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Answers of aiproxy that were compared with what the mock sent.
    pub(crate) compared: u64,
    /// Those of them that differed.
    pub(crate) wrong: u64,
    /// Requests that ought to have a row.
    pub(crate) requests: u64,
    /// Of them, those without.
    pub(crate) lost: u64,
    /// Rows beyond one for each.
    pub(crate) doubled: u64,
    /// Streams still open upstream 3 s after their clients went; `None` when that was not measured.
    pub(crate) left_open: Option<u64>,
}

/// One kind of closed loop.
pub(crate) struct Loop {
    /// Connections.
    pub(crate) connections: usize,
    /// Requests that are measured.
    pub(crate) requests: u64,
    /// Requests before them.
    pub(crate) warm_up: u64,
}

impl Series {
    /// Plain chat requests: all in, and on the request path alone.
    pub(crate) async fn plain(&mut self) -> anyhow::Result<()> {
        let ask = Ask::new(self.mock, plain()).await?;
        let load = Loop {
            connections: CONNECTIONS,
            requests: 20_000,
            warm_up: WARM_UP,
        };
        let kinds = [Kind::Nginx, Kind::Full, Kind::Light];
        let cpu = self.closed_loops(&kinds, &ask, &load).await?;
        let [nginx, full, light] = [0, 1, 2].map(|at| median_of(&cpu[at], |cpu| cpu.all));
        let path = median_of(&cpu[2], |cpu| cpu.request);
        let what = "plain chat, 32 connections, CPU µs per request, all in";
        self.lines.push(Line::ratio(what, nginx, full, 5.0, 3.5));
        let what = "the same on the request path (`log.bodies: none`, `memory`; threads that write SQL left out)";
        self.lines.push(Line::ratio(what, nginx, path, 2.0, 1.6));
        eprintln!(
            "    request path of the full record: {:.1} µs; light, all threads: {light:.1} µs",
            median_of(&cpu[1], |cpu| cpu.request)
        );
        Ok(())
    }

    /// Streams without pauses.
    pub(crate) async fn stream(&mut self) -> anyhow::Result<()> {
        let ask = Ask::stream(self.mock, "mock-s200").await?;
        let load = Loop {
            connections: CONNECTIONS,
            requests: 1_500,
            warm_up: 100,
        };
        let cpu = self
            .closed_loops(&[Kind::Nginx, Kind::Full], &ask, &load)
            .await?;
        let [nginx, full] = [0, 1].map(|at| median_of(&cpu[at], |cpu| cpu.all));
        let what = "stream of 200 chunks, 32 connections, CPU µs per request";
        self.lines.push(Line::ratio(what, nginx, full, 1.4, 1.2));
        Ok(())
    }

    /// Streams with pauses.
    pub(crate) async fn paced(&mut self) -> anyhow::Result<()> {
        let ask = Ask::stream(self.mock, "mock-s50-d20").await?;
        let load = Loop {
            connections: 500,
            requests: 2_000,
            warm_up: 500,
        };
        let cpu = self
            .closed_loops(&[Kind::Nginx, Kind::Full], &ask, &load)
            .await?;
        let [nginx, full] = [0, 1].map(|at| median_of(&cpu[at], |cpu| cpu.all) / 50.0);
        let what = "500 streams, 50 chunks 20 ms apart, CPU µs per chunk";
        self.lines.push(Line::ratio(what, nginx, full, 2.0, 1.5));
        Ok(())
    }

    /// 1,000 requests a second.
    pub(crate) async fn rate(&mut self) -> anyhow::Result<()> {
        let ask = Ask::new(self.mock, plain()).await?;
        let mut middles: [Vec<f64>; 2] = Default::default();
        for _ in 0..self.runs {
            for (at, kind) in [Kind::Nginx, Kind::Full].into_iter().enumerate() {
                let target = self.bench.start(kind, self.mock, &plain()).await?;
                let every = Duration::from_millis(1);
                let warm = load::fixed_rate(target.address, &ask, every, WARM_UP).await?;
                let tally = load::fixed_rate(target.address, &ask, every, 4_000).await?;
                middles[at].push(median(&tally.latencies));
                eprintln!(
                    "    {kind:?}: p50 {:.0} µs, p99 {:.0} µs",
                    median(&tally.latencies),
                    quantile(&tally.latencies, 0.99)
                );
                self.stop(target, &[warm, tally])?;
            }
        }
        let [nginx, full] = middles.map(|middles| median(&middles));
        let what = "1,000 requests/s, µs at p50";
        self.lines.push(Line::added(what, nginx, full, 100.0, 60.0));
        Ok(())
    }

    /// How long an event is on its way.
    pub(crate) async fn transit(&mut self) -> anyhow::Result<()> {
        let epoch = Instant::now();
        let upstream = stamped::start(epoch).await?;
        let request = client::chat("mock", true, 730);
        let mut middles: [Vec<f64>; 2] = Default::default();
        for _ in 0..self.runs {
            for (at, kind) in [Kind::Nginx, Kind::Full].into_iter().enumerate() {
                let target = self.bench.start(kind, upstream, &request).await?;
                let times =
                    load::transit(target.address, request.as_slice().into(), 20, epoch).await?;
                middles[at].push(median(&times));
                target.process.quiet().await?;
                let rows = target.stop()?;
                self.counts.rows(kind, 21, rows);
            }
        }
        let [nginx, full] = middles.map(|middles| median(&middles));
        let what = "an event of a stream, upstream to client, µs at p50";
        self.lines
            .push(Line::added(what, nginx, full, 100.0, 100.0));
        Ok(())
    }

    /// CPU µs per request, by kind, of each run.
    async fn closed_loops(
        &mut self,
        kinds: &[Kind],
        ask: &Ask,
        load: &Loop,
    ) -> anyhow::Result<Vec<Vec<Cpu>>> {
        let mut cpu = vec![Vec::new(); kinds.len()];
        for _ in 0..self.runs {
            for (at, kind) in kinds.iter().enumerate() {
                cpu[at].push(self.closed_loop(*kind, ask, load).await?);
            }
        }
        Ok(cpu)
    }

    /// CPU µs per request of one run.
    pub(crate) async fn closed_loop(
        &mut self,
        kind: Kind,
        ask: &Ask,
        load: &Loop,
    ) -> anyhow::Result<Cpu> {
        let target = self.bench.start(kind, self.mock, &plain()).await?;
        let address = target.address;
        let ask = &ask.through(kind);
        let warm = load::closed_loop(address, ask, load.connections, load.warm_up).await?;
        target.process.quiet().await?;
        let before = target.process.threads()?;
        let began = Instant::now();
        let tally = load::closed_loop(address, ask, load.connections, load.requests).await?;
        let took = began.elapsed().as_secs_f64();
        target.process.quiet().await?;
        let spent = target.process.cpu_since(&before)?;
        let spent = Cpu {
            all: spent.all / load.requests as f64,
            request: spent.request / load.requests as f64,
        };
        eprintln!(
            "    {kind:?}: {:.1} µs, request path {:.1} µs, {:.0} requests/s",
            spent.all,
            spent.request,
            load.requests as f64 / took
        );
        self.stop(target, &[warm, tally])?;
        Ok(spent)
    }

    /// Stops a target and counts what was served and what is in its log; the probe at the start has a row too.
    pub(crate) fn stop(&mut self, target: Target, tallies: &[Tally]) -> anyhow::Result<()> {
        let kind = target.kind;
        let answers: u64 = tallies.iter().map(|tally| tally.answers).sum();
        let wrong: u64 = tallies.iter().map(|tally| tally.wrong).sum();
        anyhow::ensure!(
            kind != Kind::Nginx || wrong == 0,
            "nginx's answers are not the mock's"
        );
        if kind != Kind::Nginx {
            self.counts.compared += answers;
            self.counts.wrong += wrong;
        }
        let rows = target.stop()?;
        self.counts.rows(kind, answers + 1, rows);
        Ok(())
    }

    /// The lines about answers and rows.
    pub(crate) fn count_lines(&mut self) {
        let counts = &self.counts;
        let zero =
            |what: String, figure: u64| Line::of(&what, figure as f64, "", 0.0, 0.0).beside(0.0);
        let mut lines = vec![
            zero(
                format!(
                    "answers that differ from what the mock sent, of {}",
                    counts.compared
                ),
                counts.wrong,
            ),
            zero(format!("rows lost, of {}", counts.requests), counts.lost),
            zero("rows doubled".to_owned(), counts.doubled),
        ];
        let what = "upstream streams left open 3 s after 1,000 clients went";
        lines.extend(counts.left_open.map(|open| zero(what.to_owned(), open)));
        self.lines.extend(lines);
    }
}

impl Counts {
    /// Compares the rows of a log with the requests that it ought to hold.
    pub(crate) fn rows(&mut self, kind: Kind, requests: u64, rows: Rows) {
        if kind == Kind::Nginx {
            return;
        }
        self.requests += requests;
        self.lost += requests.saturating_sub(rows.ids);
        self.doubled += rows.rows.saturating_sub(rows.ids.min(requests));
        if kind == Kind::Full {
            self.lost += rows.rows.saturating_sub(rows.bodies);
        }
    }
}

fn median_of(cpu: &[Cpu], figure: impl Fn(&Cpu) -> f64) -> f64 {
    median(&cpu.iter().map(figure).collect::<Vec<_>>())
}
