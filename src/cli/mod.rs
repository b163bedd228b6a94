//! The commands.
//!
//! A command says how it ended; which exit code that is, `main.rs` knows.

mod admin;
mod changed;
mod check;
mod completions;
mod config;
mod explain;
mod in_force;
mod logs;
mod open_files;
mod reload;
mod run;
mod supervisor;

use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand};

use crate::config::{self as configuration, Flags, Loaded, Sources};
use admin::AdminCommand;
use changed::Watched;
use check::Format;
use in_force::InForce;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It did what it was asked to do.
    Done,
    /// Something went wrong while it ran.
    Failed,
    /// The command line or the configuration is wrong.
    Misused,
    /// No route takes the request that was asked about.
    NoRoute,
}

/// At most N requests inside your API, the rest wait in line.
#[derive(Debug, Parser)]
#[command(name = "sluicegate", version, about, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// Check the configuration instead of serving, as `check` does.
    #[arg(short = 't', conflicts_with = "watch")]
    check: bool,

    /// With -t, let warnings fail the check.
    #[arg(long, requires = "check")]
    strict: bool,

    /// With -t, how the findings are written.
    #[arg(long, value_enum, value_name = "FORMAT", requires = "check")]
    format: Option<Format>,

    #[command(flatten)]
    run: RunArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (the default).
    Run(RunArguments),
    /// Load and check everything, and say all that is wrong.
    Check(CheckArguments),
    /// Say which route takes a request and why, and what it meets there.
    Explain(explain::ExplainArguments),
    /// Show the configuration, its schema, or one to begin with.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    #[command(flatten)]
    Admin(AdminCommand),
    /// Print what makes a shell complete this command line.
    Completions {
        /// Whose completions.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
struct RunArguments {
    #[command(flatten)]
    sources: SourceArguments,

    /// Watch the configuration files, and load them again when they change.
    #[arg(long)]
    watch: bool,
}

/// Where the configuration comes from, for those who take all of it.
#[derive(Debug, Args)]
struct SourceArguments {
    /// Configuration file; may be given several times, later files win.
    #[arg(short, long = "config", value_name = "FILE")]
    config: Vec<PathBuf>,

    /// Where requests go: the URL of upstreams.default.
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,

    /// How many requests may be in flight, or "none": the limit of routes.default.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    limit: Option<String>,

    /// How many requests may wait; 0 rejects at once.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    queue: Option<String>,

    /// How long a request may wait, such as 10s.
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    queue_timeout: Option<String>,

    /// Address and port to listen on; may be given several times [default: 0.0.0.0:8080].
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,

    /// Address and port of the admin listener, or "off" [default: 127.0.0.1:9901].
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,

    /// Worker threads, or "auto" for one per processor.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    threads: Option<String>,

    /// Let every limit only count: nothing waits, and nothing is rejected [default: SLUICEGATE_DRY_RUN].
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct CheckArguments {
    /// Configuration file; may be given several times, later files win.
    #[arg(short, long = "config", value_name = "FILE")]
    config: Vec<PathBuf>,

    /// Let warnings fail the check.
    #[arg(long)]
    strict: bool,

    /// How the findings are written.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    format: Format,
}

impl SourceArguments {
    fn read(self) -> Result<Sources, configuration::Error> {
        let flags = Flags {
            upstream: self.upstream,
            limit: self.limit,
            queue: self.queue,
            queue_timeout: self.queue_timeout,
            listen: self.listen,
            admin: self.admin,
            threads: self.threads,
            dry_run: self.dry_run,
        };
        Sources::try_from_process(self.config, flags)
    }
}

/// Does what the command line of this process says.
pub fn main() -> Ending {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(mut error) => {
            if error.kind() == ErrorKind::ArgumentConflict && error.get(ContextKind::InvalidSubcommand).is_some() {
                error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![AFTER_THE_COMMAND.into()]));
            }
            // `--help` and `--version` come this way too. If nobody takes the text, there is no one to tell.
            let _ = error.print();
            return if error.use_stderr() { Ending::Misused } else { Ending::Done };
        }
    };
    match cli.command {
        Some(Command::Check(arguments)) => {
            let sources = Sources::try_from_process(arguments.config, Flags::default());
            check::check(sources, arguments.strict, arguments.format)
        }
        Some(Command::Explain(arguments)) => explain::explain(arguments),
        Some(Command::Config(command)) => config::run(command),
        Some(Command::Admin(command)) => admin::run(&command),
        Some(Command::Completions { shell }) => completions::print(shell),
        Some(Command::Run(arguments)) => serve(arguments),
        None if cli.check => check::check(cli.run.sources.read(), cli.strict, cli.format.unwrap_or_default()),
        None => serve(cli.run),
    }
}

fn serve(RunArguments { sources, watch }: RunArguments) -> Ending {
    let sources = match sources.read() {
        Ok(sources) => sources,
        Err(error) => return misused(&error),
    };
    let watched = watch.then(|| Watched::new(configuration::files(&sources)));
    if watched.as_ref().is_some_and(Watched::is_empty) {
        print_error("error: there is nothing to watch: no configuration file is read\n  = help: name one with -c FILE");
        return Ending::Misused;
    }
    match configuration::load(&sources) {
        Ok(Loaded { settings, warnings, written }) => {
            print_warnings(&warnings);
            run::run(InForce { settings, written }, sources, watched)
        }
        Err(error) => misused(&error),
    }
}

/// A flag in front of a command would be one of `run`.
const AFTER_THE_COMMAND: &str = "options stand after the command: sluicegate status --admin http://127.0.0.1:9901";

/// So many of something that has a plural in -s.
fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

fn misused(error: &configuration::Error) -> Ending {
    print_error(error);
    Ending::Misused
}

fn print_warnings(warnings: &[configuration::Problem]) {
    for warning in warnings {
        print_error(format_args!("warning: {warning}\n"));
    }
}

/// Whoever has stopped reading has what it wanted: that is no failure. Any other is said.
fn print(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout();
    match write!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            print_error(format_args!("error: the standard output cannot be written: {error}"));
            Err(error)
        }
        Ok(()) => Ok(()),
    }
}

fn print_error(text: impl Display) {
    // If nobody takes it, there is no one to tell, and that is no reason to panic.
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from([&["sluicegate"], words].concat())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serving_is_the_default_command() {
        let short = parse(&["-c", "a.toml", "-c", "b.toml", "--limit", "5"]).unwrap();
        assert!(short.command.is_none());
        assert_eq!(short.run.sources.config, [PathBuf::from("a.toml"), PathBuf::from("b.toml")]);
        let long = parse(&["run", "--limit", "5", "--listen", "a:1", "--listen", "b:2", "--admin", "off"]).unwrap();
        let Some(Command::Run(RunArguments { sources: arguments, .. })) = long.command else { panic!("not run") };
        assert_eq!(arguments.limit.as_deref(), Some("5"));
        assert_eq!(arguments.listen, ["a:1", "b:2"]);
        assert_eq!(arguments.admin.as_deref(), Some("off"));
    }

    #[test]
    fn check_has_a_short_form() {
        let cli = parse(&["-t", "-c", "a.toml", "--strict"]).unwrap();
        assert!(cli.check && cli.strict);
        let cli = parse(&["check", "-c", "a.toml", "--strict"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Check(CheckArguments { strict: true, .. }))));
    }

    #[test]
    fn values_are_not_judged_here() {
        // A bad number is reported like any other mistake of the configuration, together with the rest.
        assert_eq!(parse(&["--limit", "-5"]).unwrap().run.sources.limit.as_deref(), Some("-5"));
    }

    #[test]
    fn what_is_not_a_command_is_refused() {
        for words in [
            &["--strict"][..],
            &["serve"],
            &["check", "--limit", "5"],
            &["-c", "a", "run"],
            &["--limit"],
            &["config", "show", "--watch"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
