//! Rules and keys of redaction where rows land: `tms_redaction_set`, `tms_redaction_rotate_key`.

use std::cell::RefCell;
use std::collections::HashMap;

use pgrx::prelude::*;
use serde_json::Value;
use tms_domain::pii::Kind;
use tms_domain::redact::derive::{derive_from_text, master_text};
use tms_domain::redact::landing::FIRST_FIELDS;
use tms_domain::redact::rules::Rules;
use tms_domain::redact::token::Keys;

use crate::api::tenancy;
use crate::errors::{self, Result};
use crate::pg::{cache, redaction_news, roles, server};
use crate::store::redaction::{self, Company, Master};

/// Companies whose keys a backend keeps. Past that it begins anew.
const MOST_KEYS: usize = 10_000;

thread_local! {
    // With the changes of keys that had been heard of before they were read.
    static KEYS: RefCell<(u64, HashMap<Company, Keys>)> = RefCell::default();
}

#[pg_extern(sql = false)]
fn tms_redaction_set(rules: Option<pgrx::JsonB>, company_id: Option<pgrx::Uuid>) -> Result<()> {
    let company = tenancy::company_for(company_id.map(|id| *id.as_bytes()))?;
    let Some(pgrx::JsonB(document)) = rules else {
        redaction::remove_rules(&company);
        return Ok(());
    };
    let rules = parse(&document)?;
    if rules.needs_key() {
        keys_of(&company)?.for_tokens().map_err(errors::problem)?;
    }
    redaction::set_rules(&company, &document, roles::outer_user());
    Ok(())
}

#[pg_extern(sql = false)]
fn tms_redaction_rotate_key() -> Result<String> {
    tenancy::require_platform("make a redaction key")?;
    let number = redaction::next_key_number();
    let bytes = server::random_bytes::<32>().ok_or_else(errors::no_randomness)?;
    let key = Master {
        id: format!("k{number}"),
        text: master_text(&bytes),
    };
    redaction::add_key(number, &key);
    Ok(key.id)
}

fn parse(document: &Value) -> Result<Rules> {
    Rules::parse(document, &|kind| Kind::parse(kind).map(drop)).map_err(errors::problem)
}

/// The rules that hold where a company's rows land.
pub(crate) fn rules_of(company: &Company) -> Result<Rules> {
    match cache::as_owner(|| redaction::rules(company)) {
        Some(document) => parse(&document),
        None => Rules::from_fields(&FIRST_FIELDS.map(str::to_owned)).map_err(errors::problem),
    }
}

/// The key of a company's tokens; none when no key was made.
pub(crate) fn keys_of(company: &Company) -> Result<Keys> {
    let heard = redaction_news::heard();
    let known = KEYS.with_borrow(|(then, keys)| (*then == heard).then(|| keys.get(company).cloned()));
    if let Some(Some(keys)) = known {
        return Ok(keys);
    }
    let keys = match cache::as_owner(redaction::newest_key) {
        None => Keys::none(),
        Some(master) => {
            let key = derive_from_text(&master.text, *company, &master.id);
            Keys::current(key.map_err(|_| errors::unreadable_key(&master.id))?)
        }
    };
    KEYS.with_borrow_mut(|(then, known)| {
        if *then != heard || known.len() >= MOST_KEYS {
            known.clear();
            *then = heard;
        }
        known.insert(*company, keys.clone());
    });
    Ok(keys)
}

/// The key for tokens that the caller asks for. Who can have tokens made can try values against those that are there, so it is a
/// right of its own.
pub(crate) fn keys_for_caller() -> Result<Keys> {
    let company = tenancy::company_for(None)?;
    if !roles::is_platform() && !cache::as_owner(|| redaction::may_use_key(roles::outer_user())) {
        return Err(errors::no_right_to_tokens());
    }
    keys_of(&company)
}
