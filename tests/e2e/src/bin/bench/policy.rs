//! What a policy check costs: 100 agents of 50 rules, another session changing a policy every second, against the same rules in
//! PL/pgSQL over indexed tables. Each call is timed by itself, inside one statement.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use postgres::Client;

use crate::enforce;
use crate::ground::{DB, Ground, server};
use crate::options::Options;
use crate::report::{Bound, Detail, Figure};

const AGENTS: usize = 100;
/// Of an agent: 40 allowed names and 5 allowed patterns, 3 that are denied, 2 to be confirmed.
const NAMES: usize = 40;
const ROUNDS: usize = 5;
const REQUIRED_US: f64 = 30.0;
const REQUIRED_TIMES: f64 = 10.0;
const BETWEEN_CHANGES: Duration = Duration::from_secs(1);
/// A name, two patterns, a denial, a confirmation, and a name that nothing is about.
const FUNCTIONS: &str =
    "'fam7.fn17', 'open1.any', 'open4.deep.down', 'open2.drop', 'fam1.fn31', 'other.thing'";
/// Those a well-behaved agent asks about.
const ALLOWED: &str = "'fam7.fn17', 'open1.any', 'fam3.fn3', 'open4.deep.down'";

pub fn measure(options: &Options, figure: &mut Figure) {
    let calls = options.size(200_000, 20_000);
    let mut ground = Ground::start(server(), &[]);
    load(&mut ground);
    for (name, check) in [("ours", "tms_policy_check"), ("plain", "plain_check")] {
        ground.command(&sampler(name, check));
    }
    is_the_same(&mut ground);
    compare(
        &mut ground,
        figure,
        "calls that are allowed",
        ALLOWED,
        calls,
        true,
    );
    compare(
        &mut ground,
        figure,
        "calls of every kind",
        FUNCTIONS,
        calls,
        false,
    );
    enforce::measure(&mut ground, figure, calls / 10);
    figure.note(
        "a payload of 80 bytes, usage with tokens; a policy of ours and of the tables changes every second",
    );
    figure.note("microseconds by clock_timestamp() around each call in a PL/pgSQL loop inside one statement");
}

/// Both in turn, so many times, while another session changes policies of both.
fn compare(
    ground: &mut Ground,
    figure: &mut Figure,
    what: &str,
    functions: &str,
    calls: usize,
    is_required: bool,
) {
    let bound = |bound| is_required.then_some(bound);
    let done = AtomicBool::new(false);
    let mut changes = 0;
    let mut rows = Vec::new();
    thread::scope(|scope| {
        let author = ground.cluster.client(DB);
        let changing = scope.spawn(|| change_until(&done, author));
        let _ends_with_us = Sets(&done);
        for _ in 0..ROUNDS {
            let ours = sample(ground, "ours", functions, calls);
            rows.push((ours, sample(ground, "plain", functions, calls / 5)));
        }
        done.store(true, Ordering::Relaxed);
        changes = changing.join().expect("the author of changes");
    });
    let medians: Vec<f64> = rows.iter().map(|(ours, _)| ours[0]).collect();
    // By the means: the clock counts whole microseconds, of which a check takes two or three.
    let times: Vec<f64> = rows.iter().map(|(ours, plain)| plain[1] / ours[1]).collect();
    figure.spread(
        format!("tms_policy_check, median, {what}"),
        &medians,
        "us",
        bound(Bound::AtMost(REQUIRED_US)),
    );
    figure.spread(
        format!("faster than PL/pgSQL over tables, {what}"),
        &times,
        "times",
        bound(Bound::AtLeast(REQUIRED_TIMES)),
    );
    figure.detail(Detail {
        title: format!("us a call, {what}; {changes} changes meanwhile"),
        columns: vec!["ours, median", "mean", "99%", "PL/pgSQL, median", "mean", "99%"],
        rows: rows
            .iter()
            .enumerate()
            .map(|(round, (ours, plain))| (format!("round {}", round + 1), [*ours, *plain].concat()))
            .collect(),
    });
}

/// A change every second; returns how many.
fn change_until(done: &AtomicBool, mut author: Client) -> usize {
    let mut count = 0;
    while !done.load(Ordering::Relaxed) {
        author.batch_execute(&change(count)).expect("a change of policy");
        count += 1;
        thread::sleep(BETWEEN_CHANGES);
    }
    count
}

/// Set when it goes, so that a measurement that panics does not wait for the author for ever.
struct Sets<'a>(&'a AtomicBool);

impl Drop for Sets<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Median, mean and 99th percentile of so many calls, in microseconds.
fn sample(ground: &mut Ground, name: &str, functions: &str, calls: usize) -> [f64; 3] {
    let ask = format!(
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY t), avg(t), percentile_cont(0.99) WITHIN GROUP (ORDER BY t)
           FROM unnest(sample_{name}({calls}, ARRAY[{functions}])) t"
    );
    let row = ground.one(&ask);
    [row.get(0), row.get(1), row.get(2)]
}

/// The same loop around either.
fn sampler(name: &str, check: &str) -> String {
    format!(
        "CREATE FUNCTION sample_{name}(calls int, functions text[]) RETURNS float8[] LANGUAGE plpgsql AS $$
         DECLARE
             taken float8[] := ARRAY[]::float8[]; began timestamptz; ended timestamptz; verdict jsonb;
             agent text; function text; payload jsonb := '{{\"load\": 4711, \"lane\": \"ATL-ORD\", \"equipment\": \"reefer\", \"weight_lbs\": 42000.50}}';
             usage jsonb := '{{\"tokens\": 1200}}';
         BEGIN
             FOR n IN 1 .. calls LOOP
                 agent := 'agent_' || n % {AGENTS};
                 function := functions[1 + n % cardinality(functions)];
                 began := clock_timestamp();
                 verdict := {check}(agent, function, payload, usage);
                 ended := clock_timestamp();
                 taken[n] := extract(epoch FROM ended - began) * 1e6;
             END LOOP;
             RETURN taken;
         END $$"
    )
}

/// Both must say the same, or one is not the other's measure.
fn is_the_same(ground: &mut Ground) {
    let differing = format!(
        "SELECT count(*) FROM generate_series(0, {AGENTS} - 1) n, unnest(ARRAY[{FUNCTIONS}, {ALLOWED}, 'fam1.fn30']) f,
                unnest(ARRAY['{{}}', '{{\"tokens\": 20000}}']::jsonb[]) u,
                tms_policy_check('agent_' || n, f, '{{}}', u) ours, plain_check('agent_' || n, f, '{{}}', u) plain
          WHERE ours ->> 'decision' <> plain ->> 'decision' OR ours ->> 'policy_version' <> plain ->> 'policy_version'"
    );
    let count: i64 = ground.one(&differing).get(0);
    assert_eq!(count, 0, "verdicts differ");
}

fn document(agent: usize, tokens: usize) -> String {
    let mut allowed: Vec<String> = (0..NAMES).map(|n| format!("fam{}.fn{n}", n % 10)).collect();
    allowed.extend((0..5).map(|n| format!("open{n}.*")));
    format!(
        "agent_{agent}: {{allowed_functions: [{}], denied_functions: [open2.drop, fam1.fn30, admin.*],
                          require_confirmation: [fam1.fn31, open3.pay.*],
                          cost_guardrails: {{max_tokens_per_task: {tokens}, max_api_calls_per_task: 10}}}}",
        allowed.join(", ")
    )
}

fn load(ground: &mut Ground) {
    let agents: Vec<String> = (0..AGENTS).map(|agent| document(agent, 10_000)).collect();
    ground.command(&format!(
        "SELECT tms_policy_load('agent_policies: {{{}}}')",
        agents.join(", ")
    ));
    ground.command(PLAIN);
    for (list, key) in [
        ("allowed", "allowed_functions"),
        ("denied", "denied_functions"),
        ("confirm", "require_confirmation"),
    ] {
        ground.command(&format!(
            "INSERT INTO plain_rules
             SELECT p.company_id, p.agent_name, '{list}', rule,
                    CASE WHEN rule LIKE '%*%' THEN replace(replace(rule, '_', '\\_'), '*', '%') END
               FROM tms.policies p,
                    jsonb_array_elements_text(p.document::jsonb #> ARRAY['agent_policies', p.agent_name, '{key}']) rule"
        ));
    }
    ground.command(
        "INSERT INTO plain_policies
         SELECT p.company_id, p.agent_name, 'enforce', p.version, p.sha256, 10000, 10, NULL FROM tms.policies p;
         ANALYZE plain_rules; ANALYZE plain_policies",
    );
}

/// Another version of one agent's policy, in both.
fn change(count: usize) -> String {
    let agent = count % AGENTS;
    format!(
        "SELECT tms_policy_load('agent_policies: {{{}}}');
         UPDATE plain_policies SET version = version + 1, max_tokens = max_tokens + 1 WHERE agent_name = 'agent_{agent}'",
        document(agent, 10_001 + count)
    )
}

/// One look at the policy, one at its rules, by indexes; a verdict of the same keys.
const PLAIN: &str = "
    CREATE TABLE plain_policies (company_id uuid, agent_name text NOT NULL, mode text NOT NULL, version int NOT NULL,
        sha256 text NOT NULL, max_tokens bigint, max_api_calls bigint, max_cost numeric,
        UNIQUE NULLS NOT DISTINCT (agent_name, company_id));
    CREATE TABLE plain_rules (company_id uuid, agent_name text NOT NULL, list text NOT NULL, rule text NOT NULL, matches text,
        UNIQUE NULLS NOT DISTINCT (agent_name, rule, list, company_id));
    CREATE INDEX ON plain_rules (agent_name) WHERE matches IS NOT NULL;
    CREATE FUNCTION plain_check(agent text, fn text, payload jsonb, usage jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
    DECLARE
        company uuid := nullif(current_setting('tms.company_id', true), '')::uuid;
        policy plain_policies; matched record; decision text; reason text; rule text;
    BEGIN
        SELECT p.* INTO policy FROM plain_policies p
         WHERE p.agent_name = agent AND (p.company_id = company OR p.company_id IS NULL)
         ORDER BY p.company_id NULLS LAST LIMIT 1;
        IF NOT FOUND THEN
            decision := 'deny'; rule := 'default: deny'; reason := format('agent %s has no policy', agent);
        ELSE
            SELECT m.list, m.rule INTO matched
              FROM (SELECT r.list, r.rule FROM plain_rules r
                     WHERE r.agent_name = agent AND r.rule = fn AND r.company_id IS NOT DISTINCT FROM policy.company_id
                    UNION ALL
                    SELECT r.list, r.rule FROM plain_rules r
                     WHERE r.agent_name = agent AND r.matches IS NOT NULL AND fn LIKE r.matches
                       AND r.company_id IS NOT DISTINCT FROM policy.company_id) m
             ORDER BY CASE m.list WHEN 'denied' THEN 0 WHEN 'confirm' THEN 1 ELSE 2 END LIMIT 1;
            IF NOT FOUND THEN
                decision := 'deny'; rule := 'default: deny'; reason := format('function %s is not allowed', fn);
            ELSIF matched.list = 'denied' THEN
                decision := 'deny'; rule := 'denied_functions: ' || matched.rule; reason := format('function %s is denied', fn);
            ELSIF matched.list = 'confirm' THEN
                decision := 'confirm'; rule := 'require_confirmation: ' || matched.rule;
                reason := format('function %s needs confirmation', fn);
            ELSIF (usage ->> 'tokens')::bigint > policy.max_tokens THEN
                decision := 'deny'; rule := 'cost_guardrails.max_tokens_per_task'; reason := 'too many tokens';
            ELSIF (usage ->> 'api_calls')::bigint > policy.max_api_calls THEN
                decision := 'deny'; rule := 'cost_guardrails.max_api_calls_per_task'; reason := 'too many calls';
            ELSIF (usage ->> 'cost_usd')::numeric > policy.max_cost THEN
                decision := 'deny'; rule := 'cost_guardrails.max_cost_usd_per_task'; reason := 'too much money';
            ELSE
                decision := 'allow'; rule := 'allowed_functions: ' || matched.rule; reason := format('function %s is allowed', fn);
            END IF;
        END IF;
        RETURN jsonb_build_object('decision', decision, 'reason', reason, 'rule', rule, 'mode', coalesce(policy.mode, 'enforce'),
            'policy_version', policy.version, 'policy_sha256', policy.sha256, 'payload', payload,
            'retry_after_ms', NULL, 'reservation_id', NULL);
    END $$;";
