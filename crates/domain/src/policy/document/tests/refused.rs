//! Everything that is refused: by its path, its value and its line, with what was expected and what was meant.

use super::*;

/// A document with one setting of an agent, which is on line 4.
fn with(setting: &str) -> String {
    format!("# line 1\nagent_policies:\n  a:\n    {setting}\n")
}

fn refused(text: &str) -> Problem {
    match parse(text) {
        Ok(policies) => panic!("{text}\nloads as {policies:?}"),
        Err(problem) => problem,
    }
}

#[test]
fn a_document_is_a_mapping_with_agent_policies() {
    for (text, message) in [
        ("", "the document is empty"),
        ("hello", "the document is the text \"hello\" (line 1)"),
        ("- a", "the document is a list (line 1)"),
        ("~", "the document is empty (line 1)"),
        ("{}", "agent_policies is missing"),
        ("agent_policies:", "agent_policies is empty (line 1)"),
        ("agent_policies: {}", "agent_policies is empty"),
        ("agent_policies: []", "agent_policies is a list (line 1)"),
        (
            "agent_policies: yes",
            "agent_policies is the text \"yes\" (line 1)",
        ),
        ("\nagent_polices: {a: {}}", "unknown key agent_polices (line 2)"),
        (
            "agent_policies: {a: {}}\nversion: 1",
            "unknown key version (line 2)",
        ),
        (
            "agent_policies:\n  a:\n  b: {}",
            "agent_policies.a is empty (line 2)",
        ),
        ("agent_policies: {a: [x]}", "agent_policies.a is a list (line 1)"),
        (
            "agent_policies:\n  a: {}\n  b: {}\n  a: {}",
            "agent_policies.a is given twice (line 4)",
        ),
        (
            "agent_policies:\n  '': {}",
            "agent_policies.: the agent name is empty (line 2)",
        ),
        (
            "agent_policies:\n  rates agent: {}",
            "agent_policies.rates agent: character 6 of the agent name \"rates agent\" is not allowed (line 2)",
        ),
        (
            "agent_policies:\n  5: {}",
            "a key of agent_policies is 5 (line 2)",
        ),
    ] {
        let problem = refused(text);
        assert_eq!(problem.message, message, "{text:?}");
        assert!(problem.detail.is_some(), "{text:?}");
    }
    let hint = refused("agent_polices: {a: {}}").hint;
    assert_eq!(hint.as_deref(), Some("Did you mean \"agent_policies\"?"));
    let hint = refused("allowed_functions: [a]").hint;
    assert_eq!(
        hint.as_deref(),
        Some("\"allowed_functions\" belongs to an agent below agent_policies.")
    );
}

#[test]
fn an_unknown_key_is_told_the_nearest_or_its_place() {
    for (setting, path, hint) in [
        (
            "alowed_functions: []",
            "alowed_functions",
            "Did you mean \"allowed_functions\"?",
        ),
        (
            "allowedFunctions: []",
            "allowedFunctions",
            "Did you mean \"allowed_functions\"?",
        ),
        ("rate_limit: {}", "rate_limit", "Did you mean \"rate_limits\"?"),
        ("burst: 5", "burst", "\"burst\" belongs under rate_limits."),
        (
            "redact_fields: []",
            "redact_fields",
            "\"redact_fields\" belongs under pii_rules.",
        ),
        (
            "max_cost_usd_per_day: 5",
            "max_cost_usd_per_day",
            "\"max_cost_usd_per_day\" belongs under cost_guardrails.",
        ),
        (
            "owner: me",
            "owner",
            "Remove it: a key that is not known is never ignored.",
        ),
        (
            "rate_limits: {brust: 5}",
            "rate_limits.brust",
            "Did you mean \"burst\"?",
        ),
        (
            "rate_limits: {mode: enforce}",
            "rate_limits.mode",
            "\"mode\" belongs to the agent itself.",
        ),
        (
            "rate_limits: {requests_per_hour: 5}",
            "rate_limits.requests_per_hour",
            "Did you mean \"requests_per_minute\"?",
        ),
        (
            "pii_rules: {fields: []}",
            "pii_rules.fields",
            "Remove it: a key that is not known is never ignored.",
        ),
        (
            "pii_rules: {loglevel: info}",
            "pii_rules.loglevel",
            "Did you mean \"log_level\"?",
        ),
        (
            "cost_guardrails: {max_api_calls: 5}",
            "cost_guardrails.max_api_calls",
            "Did you mean \"max_api_calls_per_task\"?",
        ),
        (
            "cost_guardrails: {circuit_breaker_treshold: 0.5}",
            "cost_guardrails.circuit_breaker_treshold",
            "Did you mean \"circuit_breaker_threshold\"?",
        ),
    ] {
        let problem = refused(&with(setting));
        assert_eq!(
            problem.message,
            format!("unknown key agent_policies.a.{path} (line 4)")
        );
        assert!(
            problem.detail.unwrap().starts_with("Known keys here are "),
            "{setting}"
        );
        assert_eq!(problem.hint.as_deref(), Some(hint), "{setting}");
    }
}

#[test]
fn a_number_is_a_number_in_its_range() {
    for (section, key, range, good) in [
        (
            "rate_limits",
            "requests_per_minute",
            "a whole number from 1 to 6000000 (requests a minute)",
            &["1", "6000000"][..],
        ),
        (
            "rate_limits",
            "max_concurrent",
            "a whole number from 1 to 1000000 (requests at once)",
            &["1", "1000000"],
        ),
        (
            "cost_guardrails",
            "max_tokens_per_task",
            "a whole number from 0 to 1000000000000 (tokens)",
            &["0"],
        ),
        (
            "cost_guardrails",
            "max_openai_tokens_per_task",
            "a whole number from 0 to 1000000000000 (tokens)",
            &["5"],
        ),
        (
            "cost_guardrails",
            "max_api_calls_per_task",
            "a whole number from 0 to 1000000000 (calls)",
            &["0"],
        ),
        (
            "cost_guardrails",
            "max_cost_usd_per_task",
            "US dollars from 0 to 1000000000 with at most 6 decimals, such as 12.50",
            &["0", "0.5"],
        ),
        (
            "cost_guardrails",
            "max_cost_usd_per_day",
            "US dollars from 0 to 1000000000 with at most 6 decimals, such as 12.50",
            &["7.25"],
        ),
        (
            "cost_guardrails",
            "circuit_breaker_threshold",
            "a number above 0 and at most 1, such as 0.05 for 5%",
            &["1", "0.05", "5e-2", ".5"],
        ),
    ] {
        for value in good {
            let text = with(&format!("{section}: {{{key}: {value}}}"));
            assert!(parse(&text).is_ok(), "{text}");
        }
        for (value, shown) in [
            ("-5", "-5"),
            ("-0.5", "-0.5"),
            ("99999999999999999999999", "99999999999999999999999"),
            ("1000000000001", "1000000000001"),
            (".nan", ".nan"),
            (".inf", ".inf"),
            ("-.inf", "-.inf"),
            ("0x10", "0x10"),
            ("0o17", "0o17"),
            ("1_000", "the text \"1_000\""),
            ("ten", "the text \"ten\""),
            ("5%", "the text \"5%\""),
            ("true", "true"),
            ("null", "empty"),
            ("", "empty"),
            ("[5]", "a list"),
            ("{value: 5}", "a mapping"),
        ] {
            let problem = refused(&with(&format!("{section}: {{{key}: {value}}}")));
            assert_eq!(
                problem.message,
                format!("agent_policies.a.{section}.{key} is {shown} (line 4)")
            );
            assert_eq!(
                problem.detail,
                Some(format!("Expected {range}.")),
                "{key} {value}"
            );
        }
        let quoted = refused(&with(&format!("{section}: {{{key}: \"1\"}}")));
        assert_eq!(
            quoted.message,
            format!("agent_policies.a.{section}.{key} is the text \"1\" (line 4)")
        );
        assert_eq!(quoted.hint.as_deref(), Some("Write the number without quotes."));
    }
}

#[test]
fn each_number_has_its_own_near_misses() {
    for (section, key, values) in [
        (
            "rate_limits",
            "requests_per_minute",
            &["0", "6000001", "60.0", "6e1", "060", "+60"][..],
        ),
        ("rate_limits", "max_concurrent", &["0", "1000001", "1.5"]),
        (
            "cost_guardrails",
            "max_tokens_per_day",
            &["1000000000001", "0.5", "1e3"],
        ),
        ("cost_guardrails", "max_api_calls_per_task", &["1000000001"]),
        (
            "cost_guardrails",
            "max_cost_usd_per_day",
            &["0.0000001", "1000000000.000001", "1e3", ".5", "5.", "012"],
        ),
        (
            "cost_guardrails",
            "circuit_breaker_threshold",
            &["0", "0.0", "1.01", "5", "1e-400", "+0.5"],
        ),
    ] {
        for value in values {
            let problem = refused(&with(&format!("{section}: {{{key}: {value}}}")));
            assert_eq!(
                problem.message,
                format!("agent_policies.a.{section}.{key} is {value} (line 4)")
            );
        }
    }
    for (rest, wrong) in [
        (
            "requests_per_minute: 6, burst: 1000001",
            "rate_limits.burst is 1000001",
        ),
        ("requests_per_minute: 6, burst: -1", "rate_limits.burst is -1"),
    ] {
        let problem = refused(&with(&format!("rate_limits: {{{rest}}}")));
        assert_eq!(problem.message, format!("agent_policies.a.{wrong} (line 4)"));
        assert_eq!(
            problem.detail.unwrap(),
            "Expected a whole number from 0 to 1000000 (requests)."
        );
    }
    for key in [
        "circuit_breaker_window_seconds",
        "circuit_breaker_min_calls",
        "circuit_breaker_cooldown_seconds",
    ] {
        for value in ["0", "1000001", "1.5", "-1"] {
            let both = format!("cost_guardrails: {{circuit_breaker_threshold: 0.5, {key}: {value}}}");
            let problem = refused(&with(&both));
            assert_eq!(
                problem.message,
                format!("agent_policies.a.cost_guardrails.{key} is {value} (line 4)")
            );
        }
    }
}

#[test]
fn one_of_a_set_is_told_the_set() {
    for (setting, message, hint) in [
        (
            "mode: enforced",
            "mode is the text \"enforced\"",
            Some("Did you mean \"enforce\"?"),
        ),
        (
            "mode: Enforce",
            "mode is the text \"Enforce\"",
            Some("Did you mean \"enforce\"?"),
        ),
        ("mode: shadow", "mode is the text \"shadow\"", None),
        ("mode: true", "mode is true", None),
        (
            "mode:",
            "mode is empty",
            Some("Leave the key out where nothing is to be said."),
        ),
        (
            "pii_rules: {log_level: warns}",
            "pii_rules.log_level is the text \"warns\"",
            Some("Did you mean \"warn\"?"),
        ),
        (
            "pii_rules: {log_level: [warn]}",
            "pii_rules.log_level is a list",
            None,
        ),
        ("pii_rules: {log_level: 3}", "pii_rules.log_level is 3", None),
    ] {
        let problem = refused(&with(setting));
        assert_eq!(problem.message, format!("agent_policies.a.{message} (line 4)"));
        assert!(problem.detail.unwrap().contains("enforce, evaluate_only") || setting.contains("log_level"));
        assert_eq!(problem.hint.as_deref(), hint, "{setting}");
    }
}

#[test]
fn lists_hold_text_once() {
    for key in [
        "allowed_functions",
        "denied_functions",
        "require_confirmation",
        "redact_fields",
    ] {
        let (open, close, path) = match key {
            "redact_fields" => ("pii_rules: {", "}", "agent_policies.a.pii_rules.redact_fields"),
            "allowed_functions" => ("", "", "agent_policies.a.allowed_functions"),
            "denied_functions" => ("", "", "agent_policies.a.denied_functions"),
            _ => ("", "", "agent_policies.a.require_confirmation"),
        };
        for (value, message) in [
            ("rates.price", " is the text \"rates.price\" (line 4)"),
            ("{a: b}", " is a mapping (line 4)"),
            ("5", " is 5 (line 4)"),
            ("[a, 5]", "[1] is 5 (line 4)"),
            ("[true]", "[0] is true (line 4)"),
            ("[~]", "[0] is empty (line 4)"),
            ("[[a]]", "[0] is a list (line 4)"),
            ("[a, b, \"a\"]", "[2] is the text \"a\" a second time (line 4)"),
        ] {
            let problem = refused(&with(&format!("{open}{key}: {value}{close}")));
            assert_eq!(problem.message, format!("{path}{message}"));
            assert!(problem.detail.is_some() && problem.hint.is_some());
        }
    }
    let twice = refused("agent_policies:\n  a:\n    allowed_functions:\n      - x\n      - y\n      - x\n");
    assert_eq!(
        twice.message,
        "agent_policies.a.allowed_functions[2] is the text \"x\" a second time (line 6)"
    );
    assert_eq!(
        twice.detail.as_deref(),
        Some("It is in the list on line 4 already.")
    );
}

#[test]
fn rules_and_fields_are_checked_where_they_stand() {
    for (setting, message) in [
        (
            "allowed_functions: [rates.price, 'rates.pri*']",
            "allowed_functions[1]: the pattern \"rates.pri*\" has \"*\" beside other characters in a segment",
        ),
        (
            "denied_functions: ['']",
            "denied_functions[0]: the pattern is empty",
        ),
        (
            "require_confirmation: [rates..price]",
            "require_confirmation[0]: the pattern \"rates..price\" has an empty segment",
        ),
        (
            "allowed_functions: [rates price]",
            "allowed_functions[0]: character 6 of the pattern \"rates price\" is not allowed",
        ),
        (
            "pii_rules: {redact_fields: [phone, ' ']}",
            "pii_rules.redact_fields[1]: the field is empty",
        ),
        (
            "pii_rules: {redact_fields: [\"a\\tb\"]}",
            "pii_rules.redact_fields[0]: the field \"a\\tb\" has a control character",
        ),
    ] {
        let problem = refused(&with(setting));
        assert_eq!(problem.message, format!("agent_policies.a.{message} (line 4)"));
        assert!(problem.detail.is_some() && problem.hint.is_some());
    }
    let long = refused(&with(&format!(
        "pii_rules: {{redact_fields: [{}]}}",
        "x".repeat(256)
    )));
    assert!(long.message.ends_with("is 256 bytes long (line 4)") && long.message.len() < 200);
}

#[test]
fn what_contradicts_itself_is_refused() {
    for (setting, message) in [
        (
            "rate_limits: {burst: 5}",
            "rate_limits.burst is given without requests_per_minute (line 4)",
        ),
        (
            "cost_guardrails: {circuit_breaker_min_calls: 5}",
            "cost_guardrails.circuit_breaker_min_calls is given without circuit_breaker_threshold (line 4)",
        ),
        (
            "cost_guardrails: {circuit_breaker_cooldown_seconds: 5}",
            "cost_guardrails.circuit_breaker_cooldown_seconds is given without circuit_breaker_threshold (line 4)",
        ),
        (
            "cost_guardrails: {max_openai_tokens_per_task: 5, max_tokens_per_task: 5}",
            "cost_guardrails.max_tokens_per_task is given twice, as max_tokens_per_task (line 4) and as \
             max_openai_tokens_per_task (line 4)",
        ),
    ] {
        let problem = refused(&with(setting));
        assert_eq!(problem.message, format!("agent_policies.a.{message}"));
        assert!(problem.detail.is_some() && problem.hint.is_some());
    }
}

#[test]
fn sections_are_mappings() {
    for section in ["rate_limits", "pii_rules", "cost_guardrails"] {
        for (value, shown) in [
            ("", "empty"),
            ("[]", "a list"),
            ("5", "5"),
            ("none", "the text \"none\""),
        ] {
            let problem = refused(&with(&format!("{section}: {value}")));
            assert_eq!(
                problem.message,
                format!("agent_policies.a.{section} is {shown} (line 4)")
            );
            assert!(problem.detail.unwrap().contains("a mapping of"));
        }
    }
}

#[test]
fn one_mistake_refuses_the_whole_document() {
    let wrong = DEFAULT.replace("requests_per_minute: 30", "requests_per_minute: -30");
    let problem = refused(&wrong);
    assert_eq!(
        problem.message,
        "agent_policies.load_matching_agent.rate_limits.requests_per_minute is -30 (line 23)"
    );
}

#[test]
fn a_value_cannot_fill_the_screen_or_forge_a_line() {
    let long = "x".repeat(900_000);
    for setting in [
        format!("{long}: 1"),
        format!("mode: {long}"),
        format!("rate_limits: {{requests_per_minute: {}}}", "1".repeat(900_000)),
        format!("allowed_functions: ['{long}']"),
        "\"a\\nLOG:  all is well\": 1".to_owned(),
        "mode: \"a\\nLOG:  all is well\"".to_owned(),
    ] {
        let problem = refused(&with(&setting));
        let all = format!("{}{:?}{:?}", problem.message, problem.detail, problem.hint);
        assert!(all.len() < 1_000 && !problem.message.contains('\n'));
    }
}
