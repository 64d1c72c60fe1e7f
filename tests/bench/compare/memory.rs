//! What is held: memory of open streams, of an idle process, after many requests, of long bodies; and what is left
//! upstream when clients go.

use std::time::Duration;

use anyhow::{Context, ensure};

use crate::client::{self, Client};
use crate::load::{self, Ask, Tally};
use crate::scenarios::Series;
use crate::table::{Line, median};
use crate::targets::{Kind, Target, plain};

/// Streams that are held open.
const HELD: usize = 5_000;
/// Clients that go all at once.
const LEAVING: usize = 1_000;
const MIB: f64 = 1024.0;

/// Memory per open stream, and what is open upstream after clients went.
pub(crate) async fn held(series: &mut Series) -> anyhow::Result<()> {
    let request = client::chat("mock-s200-stall-1", true, 730);
    let mut figures: [Vec<f64>; 2] = Default::default();
    for _ in 0..series.runs.min(3) {
        for (at, kind) in [Kind::Nginx, Kind::Full].into_iter().enumerate() {
            let (target, _) = warm(series, kind, 200).await?;
            let before = target.process.memory("VmRSS")?;
            let mut held = load::hold(target.address, request.as_slice().into(), HELD).await?;
            target.process.steady().await?;
            let grown = target.process.memory("VmRSS")?.saturating_sub(before);
            figures[at].push(grown as f64 / HELD as f64);
            held.truncate(HELD - LEAVING);
            tokio::time::sleep(Duration::from_secs(3)).await;
            let open = open_streams(series).await?;
            let left = open.saturating_sub((HELD - LEAVING) as u64);
            if kind == Kind::Full {
                *series.counts.left_open.get_or_insert(0) += left;
            }
            eprintln!(
                "    {kind:?}: {:.1} KiB a stream, {left} left open",
                grown as f64 / HELD as f64
            );
            drop(held);
            target.process.quiet().await?;
            let rows = target.stop()?;
            series.counts.rows(kind, 201 + HELD as u64, rows);
        }
    }
    let [nginx, full] = figures.map(|figures| median(&figures));
    let what = "memory per open stream, 5,000 held, KiB";
    let line = Line::of(what, full, "KiB", 48.0, 36.0);
    series.lines.push(line.beside(nginx));
    Ok(())
}

/// Start to first answer, and idle memory.
pub(crate) async fn start(series: &mut Series) -> anyhow::Result<()> {
    let mut answers: [Vec<f64>; 2] = Default::default();
    let mut idle: [Vec<f64>; 2] = Default::default();
    for _ in 0..series.runs {
        for (at, kind) in [Kind::Nginx, Kind::Full].into_iter().enumerate() {
            let target = series.bench.start(kind, series.mock, &plain()).await?;
            answers[at].push(target.first_answer.as_secs_f64() * 1e3);
            target.process.quiet().await?;
            idle[at].push(target.process.memory("VmRSS")? as f64 / MIB);
            series.stop(target, &[])?;
        }
    }
    let [nginx, full] = answers.map(|figures| median(&figures));
    let what = "start to first answer, with a new database, ms";
    series
        .lines
        .push(Line::of(what, full, "ms", 150.0, 150.0).beside(nginx));
    let [nginx, full] = idle.map(|figures| median(&figures));
    let what = "idle memory, MiB";
    series
        .lines
        .push(Line::of(what, full, "MiB", 40.0, 40.0).beside(nginx));
    Ok(())
}

/// Memory after 100,000 requests.
pub(crate) async fn growth(series: &mut Series) -> anyhow::Result<()> {
    let (target, warm) = warm(series, Kind::Full, 5_000).await?;
    let before = target.process.memory("VmRSS")?;
    let ask = Ask::new(series.mock, plain()).await?;
    let tally = load::closed_loop(target.address, &ask, 32, 100_000).await?;
    target.process.quiet().await?;
    let after = target.process.memory("VmRSS")?;
    eprintln!("    {} KiB before, {} KiB after", before, after);
    series.stop(target, &[warm, tally])?;
    let grown = (after as f64 - before as f64) / MIB;
    let what = "memory grown after 100,000 requests, MiB";
    series.lines.push(Line::of(what, grown, "MiB", 8.0, 8.0));
    Ok(())
}

/// Sizes of the JSON bodies: longer than what is stored of one by default, and one that is stored whole.
const JSON_MIB: [usize; 2] = [32, 4];
/// Peak memory of an upload and of long JSON bodies: without storing them, which is what the relay holds, and with,
/// where 256 KiB of the one and up to 8 MiB of the others go to SQLite.
pub(crate) async fn upload(series: &mut Series) -> anyhow::Result<()> {
    for (kind, stored) in [
        (Kind::Light, "not stored"),
        (Kind::Full, "stored by default"),
    ] {
        let mut uploads = Vec::new();
        let mut bodies: [Vec<f64>; 2] = Default::default();
        for _ in 0..series.runs.min(3) {
            let form = form(64 << 20);
            let form_type = "multipart/form-data; boundary=bench";
            let head = client::head("/v1/files", form_type, form.len());
            uploads.push(peak_of(series, kind, &head, &form).await?);
            drop(form);
            for (peaks, mib) in bodies.iter_mut().zip(JSON_MIB) {
                let json = client::chat("mock", false, mib << 20);
                peaks.push(peak_of(series, kind, &json, &[]).await?);
            }
        }
        let what = format!("an upload of 64 MB, {stored}, peak memory added, MiB");
        let line = Line::of(&what, median(&uploads), "MiB", 2.0, 2.0);
        series.lines.push(line);
        for (peaks, mib) in bodies.iter().zip(JSON_MIB) {
            let must = (mib + 2) as f64;
            let what = format!("a JSON body of {mib} MiB, {stored}, peak memory added, MiB");
            series
                .lines
                .push(Line::of(&what, median(peaks), "MiB", must, must));
        }
    }
    Ok(())
}

/// Peak memory of one long body, sent to a target that has served others.
async fn peak_of(series: &mut Series, kind: Kind, head: &[u8], body: &[u8]) -> anyhow::Result<f64> {
    let (target, tally) = warm(series, kind, 1_000).await?;
    let peak = peak(&target, head, body).await?;
    // It has a row as well.
    let long = Tally {
        answers: 1,
        ..Tally::default()
    };
    series.stop(target, &[tally, long])?;
    Ok(peak)
}

/// Peak memory above that before, in MiB, of one request.
async fn peak(target: &Target, head: &[u8], body: &[u8]) -> anyhow::Result<f64> {
    target.process.forget_peak()?;
    let before = target.process.memory("VmRSS")?;
    let mut client = Client::connect(target.address).await?;
    client.send(head).await?;
    client.send(body).await?;
    let answer = client.answer(|_| {}).await?;
    ensure!(
        answer.status == 200,
        "a long body was answered {}",
        answer.status
    );
    target.process.quiet().await?;
    let peak = target.process.memory("VmHWM")?;
    eprintln!("    {} KiB before, {} KiB at most", before, peak);
    Ok(peak.saturating_sub(before) as f64 / MIB)
}

fn form(bytes: usize) -> Vec<u8> {
    let mut form = b"--bench\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n--bench\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"long.bin\"\r\n\
        Content-Type: application/octet-stream\r\n\r\n"
        .to_vec();
    form.resize(form.len() + bytes, b'x');
    form.extend_from_slice(b"\r\n--bench--\r\n");
    form
}

/// A target that has served so many plain requests and is quiet.
async fn warm(series: &Series, kind: Kind, requests: u64) -> anyhow::Result<(Target, Tally)> {
    let target = series.bench.start(kind, series.mock, &plain()).await?;
    let ask = Ask::new(series.mock, plain()).await?;
    let tally = load::closed_loop(target.address, &ask, 32, requests).await?;
    target.process.quiet().await?;
    Ok((target, tally))
}

/// How many streams the mock has open.
async fn open_streams(series: &Series) -> anyhow::Result<u64> {
    let mut client = Client::connect(series.mock).await?;
    let request = b"GET /__mock/stats HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    client.exchange(request).await?;
    let stats: serde_json::Value = serde_json::from_slice(&client.body)?;
    stats["open_streams"].as_u64().context("no open_streams")
}
