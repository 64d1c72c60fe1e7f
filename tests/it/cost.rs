//! What rows say of money: exact amounts where the price is known, nothing where it is not.

use crate::support::gateway::TestGateway;

#[test]
fn a_row_has_a_cost_where_the_price_is_known() {
    let gateway = TestGateway::configured(
        "log:\n  spool_dir: $DIR/spool\nprices:\n  \
         mock: { input_usd_per_mtok: 2, output_usd_per_mtok: 8.5 }\n  \
         mock-s3: { input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.3 }\n  \
         mock-utf8: { input_usd_per_mtok: 0, output_usd_per_mtok: 0 }",
    );
    // The model, whether it streams, and nano-dollars a token of each side.
    let cases = [
        ("mock", "", Some((2000, 8500))),
        ("mock", r#","stream":true"#, Some((2000, 8500))),
        ("mock-s3", r#","stream":true"#, Some((100, 300))),
        ("mock-utf8", "", Some((0, 0))),
        ("mock-tools", "", None),
    ];
    for (model, more, _) in cases {
        assert_eq!(gateway.chat(model, more).status, 200, "{model}");
    }
    let mut rows = gateway.rows();
    rows.sort_by(|one, other| one.record.request_id.cmp(&other.record.request_id));
    assert_eq!(rows.len(), cases.len());
    for (row, (model, more, rates)) in rows.iter().zip(cases) {
        let record = &row.record;
        let (prompt, completion) = (record.prompt_tokens, record.completion_tokens);
        let (prompt, completion) = (prompt.unwrap(), completion.unwrap());
        assert!(0 < prompt && 0 < completion, "{model}{more}");
        let cost = rates.map(|(input, output)| prompt * input + completion * output);
        assert_eq!(record.cost_nano_usd, cost, "{model}{more}");
        let version = record.config_version.as_ref();
        let version = cost.and(version).map(|version| format!("config:{version}"));
        assert_eq!(record.price_version, version, "{model}{more}");
    }
    let unpriced = gateway.metric("unpriced_total");
    assert!((unpriced - 1.0).abs() < f64::EPSILON, "{unpriced}");
}
