//! Targets: `tms_target_set`, `tms_target_pause`, `tms_target_resume`.

use pgrx::prelude::*;
use tms_domain::names;
use tms_domain::target::{self, Transport};

use crate::api::tenancy;
use crate::errors::{self, Result};
use crate::pg::call::Arguments;
use crate::pg::{cache, jsonb};
use crate::store::targets::{self, Switched};

/// `tms_target_set(name, transport, options, company_id)`: creates a target or replaces its options.
pub(crate) fn set(arguments: &Arguments) -> Result<()> {
    const NAME: &str = "tms_target_set";
    tenancy::require_platform("set a target")?;
    let name = arguments
        .text(0)
        .ok_or_else(|| errors::null_argument(NAME, "name"))?;
    let transport = arguments
        .text(1)
        .ok_or_else(|| errors::null_argument(NAME, "transport"))?;
    let options = arguments
        .datum(2)
        .ok_or_else(|| errors::null_argument(NAME, "options"))?;
    names::check_target_name(&name).map_err(errors::problem)?;
    let transport = Transport::parse(&transport).map_err(errors::problem)?;
    if transport != Transport::Http {
        return Err(errors::not_available(&format!(
            "transport \"{}\"",
            transport.as_str()
        )));
    }
    if arguments.uuid(3).is_some() {
        return Err(errors::not_available("a company's own version of a target"));
    }
    let options = jsonb::value(options).ok_or_else(|| errors::unreadable("options"))?;
    let options = target::parse_http(&options).map_err(errors::problem)?;
    targets::set_http(&name, &options);
    Ok(())
}

#[pg_extern(sql = false)]
fn tms_target_pause(name: Option<&str>) -> Result<bool> {
    switch("tms_target_pause", "pause a target", name, true)
}

#[pg_extern(sql = false)]
fn tms_target_resume(name: Option<&str>) -> Result<bool> {
    switch("tms_target_resume", "resume a target", name, false)
}

fn switch(function: &str, what: &str, name: Option<&str>, paused: bool) -> Result<bool> {
    tenancy::require_platform(what)?;
    let name = name.ok_or_else(|| errors::null_argument(function, "name"))?;
    match targets::set_paused(name, paused) {
        Switched::Changed => Ok(true),
        Switched::AsItWas => Ok(false),
        Switched::Unknown => {
            let nearest = cache::with_targets(targets::names, |names| {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                tms_domain::nearest::nearest(name, &names).map(str::to_owned)
            });
            Err(errors::unknown_target(name, nearest.as_deref()))
        }
    }
}
