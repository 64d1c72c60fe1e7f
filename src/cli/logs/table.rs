//! Exchanges as a table. A terminal that is too narrow loses columns, the least needed first, and never the id; where
//! there is no terminal every column is there.

use std::io::Write;

use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, Width,
    presets,
};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::access_log::record::LogRecord;
use crate::cli::output::Output;
use crate::config::printable;

/// Most characters of the request's text that are looked at.
const TEXT_CHARS: usize = 200;

/// Columns of the text where there is no terminal to fit.
const TEXT_WIDTH: u16 = 60;

/// Fewest columns of a text that still says something.
const TEXT_LEAST: u16 = 16;

/// What one column says.
struct Column {
    header: &'static str,
    /// The higher the sooner it goes; 0 stays.
    spare: u8,
    align: CellAlignment,
    /// Most columns of its content.
    widest: u16,
    /// Fewest columns that it may be squeezed to before others go.
    least: u16,
    text: fn(&Row, &Zoned) -> String,
}

/// A column that is never squeezed below its content.
const fn column(
    header: &'static str,
    spare: u8,
    align: CellAlignment,
    widest: u16,
    text: fn(&Row, &Zoned) -> String,
) -> Column {
    Column {
        header,
        spare,
        align,
        widest,
        least: widest,
        text,
    }
}

const COLUMNS: &[Column] = &[
    column("time", 1, CellAlignment::Left, 19, |row, now| {
        local(row.created_at_us, now)
    }),
    column("id", 0, CellAlignment::Left, 36, |row, _| row.id.clone()),
    Column {
        least: 10,
        ..column("model", 2, CellAlignment::Left, 32, |row, _| {
            row.model.clone()
        })
    },
    Column {
        least: 6,
        ..column("user", 6, CellAlignment::Left, 16, |row, _| {
            row.user.clone()
        })
    },
    Column {
        least: 8,
        ..column("outcome", 0, CellAlignment::Left, 19, |row, _| {
            row.outcome.clone()
        })
    },
    column("status", 3, CellAlignment::Right, 6, |row, _| {
        row.status.to_string()
    }),
    column("in", 5, CellAlignment::Right, 9, |row, _| row.input.clone()),
    column("out", 5, CellAlignment::Right, 9, |row, _| {
        row.output.clone()
    }),
    column("ms", 4, CellAlignment::Right, 9, |row, _| {
        row.duration.clone()
    }),
    Column {
        least: TEXT_LEAST,
        ..column("request", 7, CellAlignment::Left, TEXT_WIDTH, |row, _| {
            row.text.clone()
        })
    },
];

/// What the table shows of an exchange, nothing in it can steer a terminal.
pub(super) struct Row {
    created_at_us: i64,
    id: String,
    model: String,
    user: String,
    outcome: String,
    status: i32,
    input: String,
    output: String,
    duration: String,
    text: String,
}

impl Row {
    /// Takes what is shown.
    pub(super) fn of(record: &LogRecord) -> Self {
        let model = record.model.as_ref().or(record.requested_model.as_ref());
        let shown = |text: Option<&String>| text.map_or("-".to_owned(), |text| first_words(text));
        let guessed = matches!(
            record.usage_source.as_deref(),
            Some("estimated" | "partial")
        );
        let tokens = |count: Option<i64>| match count {
            Some(count) if guessed => format!("~{count}"),
            Some(count) => count.to_string(),
            None => "-".to_owned(),
        };
        Self {
            created_at_us: record.created_at_us,
            id: first_words(&record.request_id),
            model: shown(model),
            user: shown(record.end_user.as_ref()),
            outcome: first_words(&record.outcome),
            status: record.status_code,
            input: tokens(record.prompt_tokens),
            output: tokens(record.completion_tokens),
            duration: record.duration_ms.map_or("-".to_owned(), milliseconds),
            text: match &record.request_text {
                Some(text) => first_words(text),
                None => first_words(&format!("{} {}", record.method, record.path)),
            },
        }
    }
}

/// The beginning of a text on one line.
fn first_words(text: &str) -> String {
    let beginning: String = text.chars().take(TEXT_CHARS).collect();
    let words: Vec<&str> = beginning.split_whitespace().collect();
    printable(&words.join(" ")).into_owned()
}

fn milliseconds(ms: f64) -> String {
    if ms < 10.0 {
        format!("{ms:.1}")
    } else {
        format!("{ms:.0}")
    }
}

/// The time of a day in the zone of `now`, with as much of the date as differs from it.
fn local(time_us: i64, now: &Zoned) -> String {
    let Ok(time) = Timestamp::from_microsecond(time_us) else {
        return "?".to_owned();
    };
    let time = time.to_zoned(now.time_zone().clone());
    let form = if time.date() == now.date() {
        "%H:%M:%S"
    } else if time.year() == now.year() {
        "%m-%d %H:%M:%S"
    } else {
        "%Y-%m-%d %H:%M:%S"
    };
    time.strftime(form).to_string()
}

/// Prints rows, newest first as they come, with times in the machine's own zone.
pub(super) fn print<W: Write>(
    rows: &[Row],
    now_us: i64,
    output: &mut Output<W>,
) -> anyhow::Result<()> {
    if rows.is_empty() {
        return output.line("no exchanges");
    }
    let now = Timestamp::from_microsecond(now_us)?.to_zoned(TimeZone::system());
    let lines = lines(rows, &now, output.width(), output.is_colored());
    for line in lines {
        // Made by us of parts that are printable: the only escapes are our colours.
        output.bytes(line.as_bytes())?;
        output.bytes(b"\n")?;
    }
    Ok(())
}

fn lines(rows: &[Row], now: &Zoned, width: Option<u16>, colored: bool) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).force_no_tty();
    if colored {
        table.enforce_styling();
    }
    let header = |column: &Column| {
        Cell::new(column.header)
            .set_alignment(column.align)
            .add_attribute(Attribute::Bold)
    };
    table.set_header(COLUMNS.iter().map(header).collect::<Vec<_>>());
    for row in rows {
        let cell = |column: &Column| {
            let cell = Cell::new((column.text)(row, now)).set_alignment(column.align);
            match column.header {
                "outcome" => cell.fg(color(&row.outcome)),
                _ => cell,
            }
        };
        let mut cells = comfy_table::Row::from(COLUMNS.iter().map(cell).collect::<Vec<_>>());
        cells.max_height(1);
        table.add_row(cells);
    }
    let content = table.column_max_content_widths();
    let widths = fit(&content, width);
    for (index, width) in widths.iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 2));
            column.set_constraint(match width {
                Some(width) => ColumnConstraint::Absolute(Width::Fixed(width + 2)),
                None => ColumnConstraint::Hidden,
            });
        }
    }
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width.unwrap_or(u16::MAX));
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// The width of each column's content; `None` for one that has no room.
fn fit(content: &[u16], width: Option<u16>) -> Vec<Option<u16>> {
    let mut widths: Vec<Option<u16>> = COLUMNS
        .iter()
        .zip(content)
        .map(|(column, content)| Some(column.widest.min(*content)))
        .collect();
    let Some(width) = width else {
        return widths;
    };
    let needed = |widths: &[Option<u16>]| -> u16 {
        widths
            .iter()
            .flatten()
            .fold(0_u16, |sum, width| sum.saturating_add(width + 2))
    };
    let least = |widths: &[Option<u16>]| -> Vec<Option<u16>> {
        let squeezed =
            |(width, column): (&Option<u16>, &Column)| width.map(|width| width.min(column.least));
        widths.iter().zip(COLUMNS).map(squeezed).collect()
    };
    // Columns go until the rest fits when squeezed.
    let spares = COLUMNS.iter().map(|column| column.spare);
    for spare in (1..=spares.max().unwrap_or(0)).rev() {
        if needed(&least(&widths)) <= width.saturating_add(2) {
            break;
        }
        for (place, column) in widths.iter_mut().zip(COLUMNS) {
            if column.spare == spare {
                *place = None;
            }
        }
    }
    // What is too wide then is squeezed, in the same order.
    let squeezed = least(&widths);
    let mut order: Vec<usize> = (0..widths.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(COLUMNS.get(*index).map(|column| column.spare)));
    for index in order {
        let over = needed(&widths).saturating_sub(width.saturating_add(2));
        if let (Some(Some(place)), Some(Some(least))) = (widths.get_mut(index), squeezed.get(index))
        {
            *place = place.saturating_sub(over).max(*least);
        }
    }
    // A wide terminal has more room for the text.
    let rest = width.saturating_add(2).saturating_sub(needed(&widths));
    if let (Some(Some(text)), Some(content)) = (widths.last_mut(), content.last()) {
        *text = text.saturating_add(rest).min(*content);
    }
    widths
}

fn color(outcome: &str) -> Color {
    match outcome {
        "ok" | "replayed" => Color::Green,
        "filter_answered" | "filter_blocked" | "client_disconnected" => Color::Yellow,
        _ => Color::Red,
    }
}

#[cfg(test)]
mod tests;
