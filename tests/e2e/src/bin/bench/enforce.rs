//! What it costs to let a call of an agent through and to end it: every limit charged, the decision on its way to the table.

use crate::ground::Ground;
use crate::report::Figure;

/// Limits that are all there and never in the way.
const POLICY: &str = "SELECT tms_policy_load('agent_policies: {busy: {allowed_functions: [rates.price],
    rate_limits: {requests_per_minute: 6000000, max_concurrent: 100},
    cost_guardrails: {max_tokens_per_task: 10000, circuit_breaker_threshold: 0.5}}}')";

const SAMPLER: &str = "
    CREATE FUNCTION sample_enforced(calls int) RETURNS TABLE (enforced float8, released float8) LANGUAGE plpgsql AS $$
    DECLARE
        began timestamptz; between timestamptz; ended timestamptz; id uuid; verdict jsonb;
        payload jsonb := '{\"load\": 4711, \"lane\": \"ATL-ORD\", \"equipment\": \"reefer\", \"weight_lbs\": 42000.50}';
        usage jsonb := '{\"tokens\": 1200}';
    BEGIN
        FOR n IN 1 .. calls LOOP
            began := clock_timestamp();
            verdict := tms_policy_enforce('busy', 'rates.price', payload, usage);
            between := clock_timestamp();
            id := (verdict ->> 'reservation_id')::uuid;
            PERFORM tms_policy_release(id, 'success');
            ended := clock_timestamp();
            enforced := extract(epoch FROM between - began) * 1e6;
            released := extract(epoch FROM ended - between) * 1e6;
            RETURN NEXT;
        END LOOP;
    END $$";

const ASK: &str = "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY enforced), percentile_cont(0.99) WITHIN GROUP (ORDER BY enforced),
                          percentile_cont(0.5) WITHIN GROUP (ORDER BY released)
                     FROM sample_enforced(";

pub fn measure(ground: &mut Ground, figure: &mut Figure, calls: usize) {
    ground.command(POLICY);
    ground.command(SAMPLER);
    let rounds: Vec<[f64; 3]> = (0..3)
        .map(|_| {
            let row = ground.one(&format!("{ASK}{calls})"));
            [row.get(0), row.get(1), row.get(2)]
        })
        .collect();
    for (index, name) in [
        "tms_policy_enforce, median",
        "tms_policy_enforce, 99%",
        "tms_policy_release, median",
    ]
    .into_iter()
    .enumerate()
    {
        let values: Vec<f64> = rounds.iter().map(|round| round[index]).collect();
        figure.spread(name, &values, "us", None);
    }
}
