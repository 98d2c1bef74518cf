//! A case for every function: who may call it, and that nothing of another company can be named by it.

use postgres::Client;

use crate::stage::{Stage, attempt, must_be_denied, rehearse, run};
use crate::tables::callers;

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
}

const PRODUCERS: May = May::Those(&["producer"]);
const OPERATORS: May = May::Those(&["operator"]);

/// Functions that act for the caller's company, by the beginnings of their names.
const FOR_A_COMPANY: [&str; 5] = [
    "tms_enqueue",
    "tms_publish",
    "tms_subscribe",
    "tms_unsubscribe",
    "tms_webhook_",
];

const FUNCTIONS: [Function; 24] = [
    of_anybody("tms_version", "SELECT {f}.tms_version()"),
    of_anybody("tms_current_company", "SELECT {f}.tms_current_company()"),
    Function {
        name: "uuid_v7",
        may: PRODUCERS,
        call: "SELECT tms.uuid_v7()",
        foreign: &[],
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
    },
    Function {
        name: "tms_publish",
        may: PRODUCERS,
        call: "SELECT {f}.tms_publish('load.moved', '{}')",
        foreign: &[(
            "SELECT {f}.tms_publish('load.moved', '{}', '{a}')",
            "SELECT {f}.tms_publish('load.moved', '{}', '{unknown}')",
        )],
    },
    Function {
        name: "tms_subscribe",
        may: OPERATORS,
        call: "SELECT {f}.tms_subscribe('load.*', 'n8n')",
        foreign: &[(
            "SELECT {f}.tms_subscribe('load.*', 'n8n', '{a}')",
            "SELECT {f}.tms_subscribe('load.*', 'n8n', '{unknown}')",
        )],
    },
    Function {
        name: "tms_unsubscribe",
        may: OPERATORS,
        call: "SELECT {f}.tms_unsubscribe('load.*', 'n8n')",
        foreign: &[(
            "SELECT {f}.tms_unsubscribe('load.moved', 'n8n', '{a}')",
            "SELECT {f}.tms_unsubscribe('load.moved', 'n8n', '{unknown}')",
        )],
    },
    Function {
        name: "tms_webhook_source_set",
        may: OPERATORS,
        call: "SELECT {f}.tms_webhook_source_set('partner', '{}', '{b}')",
        foreign: &[(
            "SELECT {f}.tms_webhook_source_set('partner', '{}', '{a}')",
            "SELECT {f}.tms_webhook_source_set('partner', '{}', '{unknown}')",
        )],
    },
    Function {
        name: "tms_webhook_verify",
        may: May::Those(&["consumer"]),
        call: "SELECT {f}.tms_webhook_verify('partner', '{}', '', '{b}')",
        foreign: &[(
            "SELECT {f}.tms_webhook_verify('partner', '{}', '', '{a}')",
            "SELECT {f}.tms_webhook_verify('partner', '{}', '', '{unknown}')",
        )],
    },
    of_platform("jsonb_or_null", "SELECT tms.jsonb_or_null('{}')", &[]),
    Function {
        name: "tms_worker_status",
        may: May::Those(&["operator", "auditor"]),
        call: "SELECT * FROM {f}.tms_worker_status()",
        foreign: &[],
    },
    of_platform(
        "tms_target_set",
        "SELECT {f}.tms_target_set('mine', 'http', '{\"url\": \"https://hooks.example/\"}')",
        &[(
            "SELECT {f}.tms_target_set('n8n', 'http', '{\"url\": \"https://b.example/\"}')",
            "SELECT {f}.tms_target_set('none', 'http', '{\"url\": \"https://b.example/\"}')",
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
        "outbox_after_update",
        "CREATE TRIGGER t AFTER UPDATE ON mine EXECUTE FUNCTION tms.outbox_after_update()",
        &[],
    ),
];

/// Beside the array: on a table of other columns it is not even all right for the platform.
const BEFORE_INSERT: &str =
    "CREATE TRIGGER t BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION tms.outbox_before_insert()";

const fn of_anybody(name: &'static str, call: &'static str) -> Function {
    Function {
        name,
        may: May::Anybody,
        call,
        foreign: &[],
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
    }
}

/// Every function here, as the catalog's list names it.
pub fn names() -> impl Iterator<Item = String> {
    FUNCTIONS
        .iter()
        .map(|function| format!("function {}", function.name))
        .chain(["function outbox_before_insert".to_owned()])
}

pub fn keep_companies_apart(stage: &Stage) {
    for (role, capabilities) in callers() {
        let mut client = stage.client(&role);
        run(&mut client, "CREATE TEMP TABLE mine (id uuid)");
        must_be_denied(&mut client, &role, BEFORE_INSERT);
        for function in &FUNCTIONS {
            let may = match function.may {
                May::Anybody => true,
                May::Those(those) => those.iter().any(|those| capabilities.contains(those)),
                May::ThePlatform => false,
            };
            is_called_by_right(stage, &mut client, &role, function, may);
            for (of_a, of_nobody) in function.foreign {
                tells_nothing(stage, &mut client, &role, of_a, of_nobody);
            }
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

/// What is another company's is refused, with the same words as what does not exist.
fn tells_nothing(stage: &Stage, client: &mut Client, role: &str, of_a: &str, of_nobody: &str) {
    let (of_a, of_nobody) = (stage.text(of_a), stage.text(of_nobody));
    let refused = rehearse(client, &of_a).expect_err(&of_a);
    assert!(refused.is_denied(), "{role}: {of_a}: {refused:?}");
    assert_eq!(
        Err(refused),
        rehearse(client, &of_nobody),
        "{role}: {of_a} and {of_nobody}"
    );
}

/// So that a case that is refused because it is wrong does not pass for one that is refused by right.
fn the_platform_may_call_everything(stage: &Stage) {
    let mut owner = stage.owner();
    run(&mut owner, "CREATE TEMP TABLE mine (id uuid)");
    for function in &FUNCTIONS {
        let call = stage.text(function.call);
        run(&mut owner, "BEGIN");
        if let Err(refused) = attempt(&mut owner, &call) {
            panic!("the platform: {call}: {refused:?}");
        }
        run(&mut owner, "ROLLBACK");
    }
}
