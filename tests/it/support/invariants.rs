//! What holds after every test, whatever was broken in it: each exchange is in exactly one place, the process
//! serves, no stream is left open.

use aiproxy::access_log::ledger::DropReason;

use super::canary::files_with;
use super::gateway::{PROVIDER_KEY, TestGateway, wait_until};

impl TestGateway {
    /// Waits until nothing is running, then checks conservation (I1), that it is alive (I4), that nothing is
    /// left open upstream (I5), and that no file holds the provider's key (I2).
    #[track_caller]
    pub(crate) fn assert_invariants(&self) {
        assert_eq!(self.get("/health").status, 200);
        self.settle();
        wait_until("nothing is open", || {
            let open = self
                .mock
                .as_ref()
                .map_or(0, |mock| mock.stats().open_streams);
            self.metric_sum("aiproxy_streams_active") == 0 && open == 0
        });
        let ledger = self.running().log().stats().ledger;
        assert!(
            ledger.is_conserved(),
            "every exchange is in one place: {ledger:?}"
        );
        let (stored, quarantined) = (ledger.stored, ledger.dropped(DropReason::Quarantined));
        // What was dropped before the writer came to it was seen by nobody.
        wait_until("observers have seen every record", || {
            self.metric_sum("aiproxy_requests_total") == stored + quarantined
        });
        let holding = files_with(self.dir.path(), PROVIDER_KEY.as_bytes());
        assert!(
            holding.is_empty(),
            "{holding:?}: the provider's key is in a file"
        );
        if self.is_fresh() {
            let rows = self.rows_now();
            assert_eq!(rows.len() as u64, stored, "as many rows as were stored");
        }
    }

    /// Sum of a metric over its labels.
    #[track_caller]
    pub(crate) fn metric_sum(&self, name: &str) -> u64 {
        let metrics = self.admin_get("/metrics");
        assert_eq!(metrics.status, 200);
        let values = metrics.text().lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let is_it = rest.starts_with(' ') || rest.starts_with('{');
            is_it.then(|| rest.rsplit(' ').next()?.parse::<u64>().ok())?
        });
        values.sum()
    }
}

impl Drop for TestGateway {
    /// Checks what holds after every test, unless it has failed already, was stopped, or its database is away.
    fn drop(&mut self) {
        let checked = self.is_running() && !std::thread::panicking();
        if checked && self.running().log().stats().db_up {
            self.assert_invariants();
        }
    }
}
