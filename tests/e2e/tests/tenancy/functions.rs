//! A case for every function: who may call it, and that nothing of another company can be named by it.

use postgres::Client;

use crate::stage::{A, B, CAPABILITIES, Stage, UNKNOWN, attempt, must_be_denied, rehearse, run};
use crate::tables::callers;

mod policies;
mod tasks;

/// Who may call a function.
#[derive(Clone, Copy)]
enum May {
    Anybody,
    /// Roles with one of these capabilities.
    Those(&'static [&'static str]),
    /// Superusers, and roles with BYPASSRLS whom the owner gave EXECUTE.
    ThePlatform,
}

struct Function {
    name: &'static str,
    may: May,
    /// A call that is all right for who may make it.
    call: &'static str,
    /// What is A's is named in the first, what does not exist in the second; the answers must not differ.
    foreign: &'static [(&'static str, &'static str)],
    /// What is named belongs to a company without saying which: it is as unknown to the others as what does not exist.
    by_id: bool,
}

const PRODUCERS: May = May::Those(&["producer"]);
const CONSUMERS: May = May::Those(&["consumer"]);
const OPERATORS: May = May::Those(&["operator"]);
/// Whoever has any capability.
const EVERYBODY: May = May::Those(&CAPABILITIES);
const AGENTS: May = May::Those(&["agent"]);
const POLICY_READERS: May = May::Those(&["agent", "operator", "auditor"]);

/// Functions that act for the caller's company, by the beginnings of their names.
const FOR_A_COMPANY: [&str; 14] = [
    "tms_task_",
    "tms_dlq_",
    "tms_log",
    "tms_redaction_set",
    "tms_enqueue",
    "tms_publish",
    "tms_subscribe",
    "tms_unsubscribe",
    "tms_webhook_",
    "tms_outbox_",
    "tms_event_",
    "tms_policy_",
    "tms_target_set",
    "tms_target_test",
];

const FUNCTIONS: [Function; 52] = [
    of_anybody("tms_version", "SELECT {f}.tms_version()"),
    of_anybody("tms_current_company", "SELECT {f}.tms_current_company()"),
    Function {
        name: "uuid_v7",
        may: May::Those(&["producer", "agent"]),
        call: "SELECT tms.uuid_v7()",
        foreign: &[],
        by_id: false,
    },
    Function {
        name: "tms_enqueue",
        may: PRODUCERS,
        call: "SELECT {f}.tms_enqueue('load.moved', '{}', 'n8n')",
        foreign: &[
            (
                "SELECT {f}.tms_enqueue('load.moved', '{}', 'n8n', '{a}')",
                "SELECT {f}.tms_enqueue('load.moved', '{}', 'n8n', '{unknown}')",
            ),
            (
                "SELECT {f}.tms_enqueue('load.moved', '{}', 'no such target', '{a}')",
                "SELECT {f}.tms_enqueue('load.moved', '{}', 'no such target', '{unknown}')",
            ),
        ],
        by_id: false,
    },
    Function {
        name: "tms_enqueue_batch",
        may: PRODUCERS,
        call: "SELECT {f}.tms_enqueue_batch('load.moved', ARRAY['{}', '{}']::jsonb[], 'n8n')",
        foreign: &[
            (
                "SELECT {f}.tms_enqueue_batch('load.moved', ARRAY['{}']::jsonb[], 'n8n', '{a}')",
                "SELECT {f}.tms_enqueue_batch('load.moved', ARRAY['{}']::jsonb[], 'n8n', '{unknown}')",
            ),
            (
                "SELECT {f}.tms_enqueue_batch('load.moved', '{}', 'n8n', '{a}')",
                "SELECT {f}.tms_enqueue_batch('load.moved', '{}', 'n8n', '{unknown}')",
            ),
        ],
        by_id: false,
    },
    Function {
        name: "tms_publish",
        may: PRODUCERS,
        call: "SELECT {f}.tms_publish('load.moved', '{}')",
        foreign: &[(
            "SELECT {f}.tms_publish('load.moved', '{}', '{a}')",
            "SELECT {f}.tms_publish('load.moved', '{}', '{unknown}')",
        )],
        by_id: false,
    },
    Function {
        name: "tms_subscribe",
        may: OPERATORS,
        call: "SELECT {f}.tms_subscribe('load.*', 'n8n')",
        foreign: &[(
            "SELECT {f}.tms_subscribe('load.*', 'n8n', '{a}')",
            "SELECT {f}.tms_subscribe('load.*', 'n8n', '{unknown}')",
        )],
        by_id: false,
    },
    Function {
        name: "tms_unsubscribe",
        may: OPERATORS,
        call: "SELECT {f}.tms_unsubscribe('load.*', 'n8n')",
        foreign: &[(
            "SELECT {f}.tms_unsubscribe('load.moved', 'n8n', '{a}')",
            "SELECT {f}.tms_unsubscribe('load.moved', 'n8n', '{unknown}')",
        )],
        by_id: false,
    },
    Function {
        name: "tms_webhook_source_set",
        may: OPERATORS,
        call: "SELECT {f}.tms_webhook_source_set('partner', '{}', '{b}')",
        foreign: &[(
            "SELECT {f}.tms_webhook_source_set('partner', '{}', '{a}')",
            "SELECT {f}.tms_webhook_source_set('partner', '{}', '{unknown}')",
        )],
        by_id: false,
    },
    Function {
        name: "tms_webhook_verify",
        may: CONSUMERS,
        call: "SELECT {f}.tms_webhook_verify('partner', '{}', '', '{b}')",
        foreign: &[(
            "SELECT {f}.tms_webhook_verify('partner', '{}', '', '{a}')",
            "SELECT {f}.tms_webhook_verify('partner', '{}', '', '{unknown}')",
        )],
        by_id: false,
    },
    of_those(EVERYBODY, "tms_redact", "SELECT {f}.tms_redact('{}', '{phone}')"),
    of_those(
        EVERYBODY,
        "tms_redact_rules",
        "SELECT {f}.tms_redact_rules('{}', '{}')",
    ),
    of_those(EVERYBODY, "tms_redact_text", "SELECT {f}.tms_redact_text('x')"),
    of_those(EVERYBODY, "tms_detect_pii", "SELECT {f}.tms_detect_pii('{}')"),
    of_those(AGENTS, "tms_log", "SELECT {f}.tms_log('info', 'x')"),
    of_those(
        May::Those(&["operator", "auditor"]),
        "tms_health",
        "SELECT {f}.tms_health()",
    ),
    of_those(
        May::Those(&["pseudonymizer"]),
        "use_redaction_key",
        "SELECT tms.use_redaction_key()",
    ),
    Function {
        name: "tms_redaction_set",
        may: OPERATORS,
        call: "SELECT {f}.tms_redaction_set('{\"fields\": [\"pin\"]}')",
        foreign: &[(
            "SELECT {f}.tms_redaction_set('{}', '{a}')",
            "SELECT {f}.tms_redaction_set('{}', '{unknown}')",
        )],
        by_id: false,
    },
    of_platform(
        "tms_redaction_rotate_key",
        "SELECT {f}.tms_redaction_rotate_key()",
        &[],
    ),
    of_platform(
        "redact_row",
        "CREATE TRIGGER t BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION tms.redact_row()",
        &[],
    ),
    of_platform("jsonb_or_null", "SELECT tms.jsonb_or_null('{}')", &[]),
    Function {
        name: "tms_worker_status",
        may: May::Those(&["operator", "auditor"]),
        call: "SELECT * FROM {f}.tms_worker_status()",
        foreign: &[],
        by_id: false,
    },
    Function {
        name: "tms_outbox_claim",
        may: CONSUMERS,
        call: "SELECT * FROM {f}.tms_outbox_claim('pulled')",
        foreign: &[],
        by_id: false,
    },
    Function {
        name: "tms_outbox_ack",
        may: CONSUMERS,
        call: "SELECT {f}.tms_outbox_ack(ARRAY['{b lease}']::uuid[])",
        foreign: &[(
            "SELECT {f}.tms_outbox_ack(ARRAY['{a lease}']::uuid[])",
            "SELECT {f}.tms_outbox_ack(ARRAY['{unknown lease}']::uuid[])",
        )],
        by_id: true,
    },
    Function {
        name: "tms_outbox_nack",
        may: CONSUMERS,
        call: "SELECT {f}.tms_outbox_nack('{b lease}', 'timeout', NULL)",
        foreign: &[(
            "SELECT {f}.tms_outbox_nack('{a lease}', 'timeout', NULL)",
            "SELECT {f}.tms_outbox_nack('{unknown lease}', 'timeout', NULL)",
        )],
        by_id: true,
    },
    Function {
        name: "tms_event_explain",
        may: May::Those(&["producer", "operator", "auditor"]),
        call: "SELECT {f}.tms_event_explain('{b event}')",
        foreign: &[(
            "SELECT {f}.tms_event_explain('{a event}')",
            "SELECT {f}.tms_event_explain('{unknown event}')",
        )],
        by_id: true,
    },
    Function {
        name: "tms_event_cancel",
        may: OPERATORS,
        call: "SELECT {f}.tms_event_cancel('{b event}', 'not needed')",
        foreign: &[(
            "SELECT {f}.tms_event_cancel('{a event}', 'not needed')",
            "SELECT {f}.tms_event_cancel('{unknown event}', 'not needed')",
        )],
        by_id: true,
    },
    by_letter(
        "tms_dlq_retry",
        "SELECT {f}.tms_dlq_retry('{b letter}')",
        &[(
            "SELECT {f}.tms_dlq_retry('{a letter}', '{}')",
            "SELECT {f}.tms_dlq_retry('{unknown letter}', '{}')",
        )],
    ),
    by_letter(
        "tms_dlq_edit",
        "SELECT {f}.tms_dlq_edit('{b letter}', '[]')",
        &[(
            "SELECT {f}.tms_dlq_edit('{a letter}', '[]')",
            "SELECT {f}.tms_dlq_edit('{unknown letter}', '[]')",
        )],
    ),
    by_letter(
        "tms_dlq_snooze",
        "SELECT {f}.tms_dlq_snooze('{b letter}', now() + interval '1 day')",
        &[(
            "SELECT {f}.tms_dlq_snooze('{a letter}', now() + interval '1 day')",
            "SELECT {f}.tms_dlq_snooze('{unknown letter}', now() + interval '1 day')",
        )],
    ),
    by_letter(
        "tms_dlq_discard",
        "SELECT {f}.tms_dlq_discard('{b letter}', 'not needed')",
        &[(
            "SELECT {f}.tms_dlq_discard('{a letter}', 'not needed')",
            "SELECT {f}.tms_dlq_discard('{unknown letter}', 'not needed')",
        )],
    ),
    Function {
        name: "tms_dlq_replay",
        may: OPERATORS,
        call: "SELECT {f}.tms_dlq_replay('{}')",
        foreign: &[(
            "SELECT {f}.tms_dlq_replay('{\"company_id\": \"{a}\"}')",
            "SELECT {f}.tms_dlq_replay('{\"company_id\": \"{unknown}\"}')",
        )],
        by_id: false,
    },
    of_those(
        OPERATORS,
        "tms_dlq_requeue_due",
        "SELECT {f}.tms_dlq_requeue_due()",
    ),
    of_those(
        EVERYBODY,
        "tms_classify_error",
        "SELECT {f}.tms_classify_error('ETIMEDOUT')",
    ),
    Function {
        name: "tms_target_set",
        may: OPERATORS,
        call: "SELECT {f}.tms_target_set('n8n', 'http', '{\"url\": \"https://hooks.example/b\"}', '{b}')",
        foreign: &[
            (
                "SELECT {f}.tms_target_set('n8n', 'http', '{\"url\": \"https://hooks.example/b\"}', '{a}')",
                "SELECT {f}.tms_target_set('n8n', 'http', '{\"url\": \"https://hooks.example/b\"}', '{unknown}')",
            ),
            // For everybody it is the platform's, whether there is such a target or not.
            (
                "SELECT {f}.tms_target_set('n8n', 'http', '{\"url\": \"https://b.example/\"}')",
                "SELECT {f}.tms_target_set('none', 'http', '{\"url\": \"https://b.example/\"}')",
            ),
        ],
        by_id: false,
    },
    Function {
        name: "tms_target_test",
        may: OPERATORS,
        call: "SELECT {f}.tms_target_test('n8n')",
        foreign: &[],
        by_id: false,
    },
    of_platform(
        "tms_target_rotate_secret",
        "SELECT {f}.tms_target_rotate_secret('signed')",
        &[(
            "SELECT {f}.tms_target_rotate_secret('signed')",
            "SELECT {f}.tms_target_rotate_secret('none')",
        )],
    ),
    of_platform(
        "tms_target_pause",
        "SELECT {f}.tms_target_pause('n8n')",
        &[(
            "SELECT {f}.tms_target_pause('n8n')",
            "SELECT {f}.tms_target_pause('none')",
        )],
    ),
    of_platform(
        "tms_target_resume",
        "SELECT {f}.tms_target_resume('n8n')",
        &[(
            "SELECT {f}.tms_target_resume('n8n')",
            "SELECT {f}.tms_target_resume('none')",
        )],
    ),
    of_platform(
        "tms_bind_role",
        "SELECT {f}.tms_bind_role('b_none', '{b}')",
        &[
            (
                "SELECT {f}.tms_bind_role('b_all', '{a}')",
                "SELECT {f}.tms_bind_role('b_all', '{unknown}')",
            ),
            (
                "SELECT {f}.tms_bind_role('a_all', '{b}')",
                "SELECT {f}.tms_bind_role('no_role', '{b}')",
            ),
            (
                "SELECT {f}.tms_bind_role('a_all', NULL)",
                "SELECT {f}.tms_bind_role('no_role', NULL)",
            ),
        ],
    ),
    of_platform(
        "tms_unbind_role",
        "SELECT {f}.tms_unbind_role('b_none')",
        &[(
            "SELECT {f}.tms_unbind_role('a_all')",
            "SELECT {f}.tms_unbind_role('no_role')",
        )],
    ),
    of_platform(
        "tms_grant",
        "SELECT {f}.tms_grant('b_none', 'producer')",
        &[(
            "SELECT {f}.tms_grant('a_none', 'producer')",
            "SELECT {f}.tms_grant('no_role', 'producer')",
        )],
    ),
    of_platform(
        "tms_revoke",
        "SELECT {f}.tms_revoke('b_none', 'producer')",
        &[(
            "SELECT {f}.tms_revoke('a_all', 'producer')",
            "SELECT {f}.tms_revoke('no_role', 'producer')",
        )],
    ),
    of_platform("tms_adopt", "SELECT {f}.tms_adopt()", &[]),
    of_platform("recovery_token", "SELECT tms.recovery_token()", &[]),
    of_platform(
        "notice_unless_preloaded",
        "SELECT tms.notice_unless_preloaded()",
        &[],
    ),
    // A trigger function cannot be called, but whoever may execute it may hang it on a table of his own.
    of_platform(
        "invalidate_caches",
        "CREATE TRIGGER t AFTER INSERT ON mine EXECUTE FUNCTION tms.invalidate_caches()",
        &[],
    ),
    of_platform(
        "target_changed",
        "CREATE TRIGGER t AFTER DELETE ON mine FOR EACH ROW EXECUTE FUNCTION tms.target_changed()",
        &[],
    ),
    of_platform(
        "target_override_gone",
        "CREATE TRIGGER t AFTER DELETE ON mine FOR EACH ROW EXECUTE FUNCTION tms.target_override_gone()",
        &[],
    ),
    of_platform(
        "webhook_source_gone",
        "CREATE TRIGGER t AFTER DELETE ON mine FOR EACH ROW EXECUTE FUNCTION tms.webhook_source_gone()",
        &[],
    ),
    of_platform(
        "policy_is_final",
        "CREATE TRIGGER t BEFORE UPDATE ON mine EXECUTE FUNCTION tms.policy_is_final()",
        &[],
    ),
    of_platform(
        "outbox_after_update",
        "CREATE TRIGGER t AFTER UPDATE ON mine EXECUTE FUNCTION tms.outbox_after_update()",
        &[],
    ),
];

/// Beside the array: on a table of other columns they are not even all right for the platform.
const ROW_TRIGGERS: [(&str, &str); 2] = [
    ("outbox_before_insert", "INSERT"),
    ("outbox_before_key_change", "UPDATE"),
];

/// Of operators, about one letter.
const fn by_letter(
    name: &'static str,
    call: &'static str,
    foreign: &'static [(&'static str, &'static str)],
) -> Function {
    Function {
        name,
        may: OPERATORS,
        call,
        foreign,
        by_id: true,
    }
}

const fn of_those(may: May, name: &'static str, call: &'static str) -> Function {
    Function {
        name,
        may,
        call,
        foreign: &[],
        by_id: false,
    }
}

const fn of_anybody(name: &'static str, call: &'static str) -> Function {
    Function {
        name,
        may: May::Anybody,
        call,
        foreign: &[],
        by_id: false,
    }
}

const fn of_platform(
    name: &'static str,
    call: &'static str,
    foreign: &'static [(&'static str, &'static str)],
) -> Function {
    Function {
        name,
        may: May::ThePlatform,
        call,
        foreign,
        by_id: false,
    }
}

fn all() -> impl Iterator<Item = &'static Function> {
    FUNCTIONS
        .iter()
        .chain(&policies::FUNCTIONS)
        .chain(&tasks::FUNCTIONS)
}

/// Every function here, as the catalog's list names it.
pub fn names() -> impl Iterator<Item = String> {
    all()
        .map(|function| format!("function {}", function.name))
        .chain(ROW_TRIGGERS.map(|(name, _)| format!("function {name}")))
}

pub fn keep_companies_apart(stage: &Stage) {
    for (role, capabilities) in callers() {
        let mut client = stage.client(&role);
        run(&mut client, "CREATE TEMP TABLE mine (id uuid)");
        for (trigger, event) in ROW_TRIGGERS {
            let hung = format!(
                "CREATE TRIGGER t BEFORE {event} ON mine FOR EACH ROW EXECUTE FUNCTION tms.{trigger}()"
            );
            must_be_denied(&mut client, &role, &hung);
        }
        for function in all() {
            let may = match function.may {
                May::Anybody => true,
                May::Those(those) => those.iter().any(|those| capabilities.contains(those)),
                May::ThePlatform => false,
            };
            is_called_by_right(stage, &mut client, &role, function, may);
            let is_unknown = function.by_id && may && !role.starts_with("stateless");
            for (of_a, of_nobody) in function.foreign {
                tells_nothing(stage, &mut client, &role, of_a, of_nobody, is_unknown);
            }
        }
        if capabilities.contains(&"consumer") && !role.starts_with("stateless") {
            claims_its_own(stage, &mut client, &role);
        }
    }
    the_platform_may_call_everything(stage);
}

fn is_called_by_right(stage: &Stage, client: &mut Client, role: &str, function: &Function, may: bool) {
    let call = stage.text(function.call);
    let is_for_a_company = FOR_A_COMPANY
        .iter()
        .any(|beginning| function.name.starts_with(beginning));
    if !may || is_for_a_company && role.starts_with("stateless") {
        return must_be_denied(client, role, &call);
    }
    if let Err(refused) = rehearse(client, &call) {
        panic!("{role}: {call}: {refused:?}");
    }
}

/// What is another company's is answered in the same words as what does not exist: refused for want of a right, or unknown.
fn tells_nothing(
    stage: &Stage,
    client: &mut Client,
    role: &str,
    of_a: &str,
    of_nobody: &str,
    is_unknown: bool,
) {
    let (of_a, of_nobody) = (stage.text(of_a), stage.text(of_nobody));
    let rows_of_a = format!(
        "SELECT md5(string_agg(e::text, ' ' ORDER BY id)) FROM tms.event_outbox e WHERE company_id = '{A}'"
    );
    let before = stage.ask(&mut stage.owner(), &rows_of_a);
    run(client, "BEGIN");
    let answer = attempt(client, &of_a);
    if is_unknown {
        if let Err(refused) = &answer {
            assert_eq!(refused.state, "42704", "{role}: {of_a}: {refused:?}");
        }
        // Kept, so that what it changed would be seen.
        run(client, "COMMIT");
        assert_eq!(
            stage.ask(&mut stage.owner(), &rows_of_a),
            before,
            "{role} changed a row of A: {of_a}"
        );
    } else {
        run(client, "ROLLBACK");
        let refused = answer.as_ref().expect_err(&of_a);
        assert!(refused.is_denied(), "{role}: {of_a}: {refused:?}");
    }
    // An answer may repeat the id it was asked for.
    let plain = |text: String| text.replace(&A[..8], &UNKNOWN[..8]);
    assert_eq!(
        plain(format!("{answer:?}")),
        plain(format!("{:?}", rehearse(client, &of_nobody))),
        "{role}: {of_a} and {of_nobody}"
    );
}

/// Of the events that are due for consumers, each company has one.
fn claims_its_own(stage: &Stage, client: &mut Client, role: &str) {
    let claim = stage.text("SELECT company_id FROM {f}.tms_outbox_claim('pulled')");
    assert_eq!(
        rehearse(client, &claim),
        Ok(vec![vec![Some(B.to_owned())]]),
        "{role}: {claim}"
    );
}

/// So that a case that is refused because it is wrong does not pass for one that is refused by right.
fn the_platform_may_call_everything(stage: &Stage) {
    let mut owner = stage.owner();
    run(&mut owner, "CREATE TEMP TABLE mine (id uuid)");
    for function in all() {
        let call = stage.text(function.call);
        run(&mut owner, "BEGIN");
        if let Err(refused) = attempt(&mut owner, &call) {
            panic!("the platform: {call}: {refused:?}");
        }
        run(&mut owner, "ROLLBACK");
    }
}
