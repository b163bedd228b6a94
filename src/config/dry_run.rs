//! Whether every limit only counts: `--dry-run`, `SLUICEGATE_DRY_RUN`.
//!
//! That is about a process and not about a limit, so no key of a file says it, and none takes it back.

use config::{Map, Value};

use super::report::{Report, problem};
use super::value::boolean;
use super::{Settings, Sources, environment, flags, read};

/// What was written becomes settings. `None` if something is missing, which has been reported.
pub(super) fn settings(tree: Map<String, Value>, sources: &Sources, report: &Report) -> Option<Settings> {
    let asked = asked(sources, report);
    let mut settings = read::settings(tree, report)?;
    if asked.is_some() {
        settings.plan.limits.iter_mut().for_each(|limit| limit.dry_run = true);
    }
    Some(settings)
}

/// Where it was asked for, if it was: by the flag or by the variable.
fn asked(sources: &Sources, report: &Report) -> Option<String> {
    let variable = sources.environment.iter().find(|(name, _)| name == VARIABLE).and_then(|(name, value)| {
        let place = format!("{}{name}", environment::PLACE);
        match boolean(&Value::new(Some(&place), value.as_str())) {
            Ok(wanted) => wanted.then_some(place),
            Err(mistakes) => {
                for mistake in mistakes {
                    let problem = problem(&place, "", format!("this variable {}, not \"{value}\"", mistake.message));
                    report.error(mistake.help.into_iter().fold(problem, |problem, help| problem.help(help)));
                }
                None
            }
        }
    });
    sources.flags.dry_run.then(|| format!("{}--dry-run", flags::PLACE)).or(variable)
}

/// The same for who shows what is in force.
pub(super) fn place(sources: &Sources) -> Option<String> {
    asked(sources, &Report::default())
}

const VARIABLE: &str = "SLUICEGATE_DRY_RUN";
