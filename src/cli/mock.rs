//! The options of `mock`.

/// Options of `mock`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Args {
    /// Address to listen on
    #[arg(long, short = 'H', value_name = "HOST", default_value = "127.0.0.1")]
    pub host: String,
    /// Port to listen on; 0 takes a free one
    #[arg(long, short, value_name = "PORT", default_value_t = 9000)]
    pub port: u16,
}
