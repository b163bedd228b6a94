//! `config`: what is in force, what can be written, and something to begin with.

use clap::{Subcommand, ValueEnum};

use super::{Ending, SourceArguments, misused, print};
use crate::config;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Show the effective configuration, as a file that says the same. Secrets are not shown.
    Show {
        /// Say where each value was written.
        #[arg(long)]
        origins: bool,
        #[command(flatten)]
        sources: Box<SourceArguments>,
    },
    /// Print the JSON schema of a configuration file.
    Schema,
    /// Print a configuration file to begin with.
    Init {
        /// What is behind it.
        #[arg(long, value_enum)]
        template: Template,
    },
}

/// What a first configuration is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Template {
    /// One API with a limited number of threads, on the same machine.
    Sidecar,
    /// A model server with slots and long streams.
    Llm,
    /// An API in front of a database: a limit that routes share, and requests that cost more.
    Db,
    /// Calls to somebody else's API that allows only so many at a time.
    Egress,
    /// Many customers, none of whom may starve the rest.
    Tenants,
}

impl Template {
    fn text(self) -> &'static str {
        match self {
            Template::Sidecar => include_str!("../../config/sidecar.toml"),
            Template::Llm => include_str!("../../config/llm.toml"),
            Template::Db => include_str!("../../config/db.toml"),
            Template::Egress => include_str!("../../config/egress.toml"),
            Template::Tenants => include_str!("../../config/tenants.toml"),
        }
    }
}

pub(super) fn run(command: ConfigCommand) -> Ending {
    let text = match command {
        ConfigCommand::Show { origins, sources } => match sources.read().and_then(|sources| config::load(&sources)) {
            Ok(loaded) => loaded.show(origins),
            Err(error) => return misused(&error),
        },
        ConfigCommand::Schema => format!("{:#}\n", config::schema()),
        ConfigCommand::Init { template } => template.text().to_owned(),
    };
    if print(&text).is_ok() { Ending::Done } else { Ending::Failed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_short_and_says_why() {
        for template in Template::value_variants() {
            let lines = template.text().lines().map(str::trim).filter(|line| !line.is_empty());
            let (comments, effective): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with('#'));
            assert!(effective.len() <= 20, "{template:?} has {} lines", effective.len());
            assert!(comments.len() >= 5, "{template:?}");
        }
    }
}
