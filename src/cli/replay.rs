//! The options of `replay`.

use uuid::Uuid;

/// Options of `replay`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Args {
    /// Id of the exchange, the answer's header x-aiproxy-request-id
    #[arg(value_name = "ID")]
    pub id: Uuid,
    /// How many times as fast as recorded; 0 is at once
    #[arg(long, value_name = "N", default_value_t = 0.0, value_parser = speed)]
    pub speed: f64,
    /// Print status and headers before the body
    #[arg(long)]
    pub head: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed >= 0.0 => Ok(speed),
        Ok(_) | Err(_) => Err("expected 0 or more".to_owned()),
    }
}
