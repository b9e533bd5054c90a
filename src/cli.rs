//! Commands and flags, how failures are printed, and the exit codes.
//!
//! Data goes to standard output, everything else to standard error. The exit code is
//! 0 when it is done, 1 when it failed, 2 when the command line or the configuration
//! is wrong. A reader that closes the pipe early is no failure, and nothing panics. One that takes nothing of standard
//! error holds nobody up.

mod about;
mod admin;
mod answer;
mod check;
mod conform;
mod dev;
mod disk;
mod dlq;
mod forward;
mod health;
mod nats_target;
mod providers;
mod send;
mod sign;
mod spool;
mod status;
mod tail;
mod top;
mod verify;

use std::ffi::OsStr;
use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config::{self, Config};
use crate::serve::{self, SignalPolicy, Signals};
use crate::settings;
use crate::telemetry::{self, stderr, terminal};

/// Webhooks to Kafka and NATS, and answers back.
#[derive(Debug, Parser)]
#[command(name = "hookbus", version, long_version = about::VERSION.as_str(), after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  hookbus dev                           try it: NATS, endpoint and demo worker on this machine
  hookbus send tool-calls               post a sample to it, in another terminal
  hookbus serve --config hookbus.toml   run it for real";

const SERVE_EXAMPLE: &str = "\
Example:
  hookbus check --config hookbus.toml && hookbus serve --config hookbus.toml";

const SCHEMA_EXAMPLE: &str = "\
Example:
  hookbus schema > hookbus.schema.json   for editors that complete and check TOML";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the bridge until SIGTERM or Ctrl-C
    #[command(after_help = SERVE_EXAMPLE)]
    Serve {
        /// The configuration file
        #[arg(long, value_name = "FILE", default_value = CONFIG_FILE)]
        config: PathBuf,
    },
    /// Run everything on this machine without a configuration: NATS, an endpoint, a demo worker
    #[command(after_help = dev::EXAMPLES)]
    Dev(dev::Arguments),
    /// Report all problems of a configuration file at once
    #[command(after_help = check::EXAMPLES)]
    Check(check::Arguments),
    /// Post a sample (or a file) as the provider would, and show the answer
    #[command(after_help = send::EXAMPLES)]
    Send(send::Arguments),
    /// Be a worker: any program answers, arguments as JSON on stdin, the answer from stdout
    #[command(after_help = answer::EXAMPLES)]
    Answer(answer::Arguments),
    /// Post events and questions to an HTTP server, and bring its answers back
    #[command(after_help = forward::EXAMPLES)]
    Forward(Box<forward::Arguments>),
    /// Check a worker of your own: answers, errors, deadlines, many calls at the same time
    #[command(after_help = conform::EXAMPLES)]
    Conform(conform::Arguments),
    /// Follow what a running bridge receives, one line a webhook
    #[command(after_help = tail::EXAMPLES)]
    Tail(tail::Arguments),
    /// Show a running bridge on one screen: rates, latencies, functions and their workers, destinations
    #[command(after_help = top::EXAMPLES)]
    Top(top::Arguments),
    /// Say whether a running bridge is ready, as an exit code
    #[command(after_help = health::EXAMPLES)]
    Health(health::Arguments),
    /// Say where the events of a running bridge are, and whether any is missing
    #[command(after_help = status::EXAMPLES)]
    Status(status::Arguments),
    /// Show dead letters, publish them again, or remove them
    #[command(subcommand, after_help = dlq::EXAMPLES)]
    Dlq(dlq::Command),
    /// Show what queues on disk, or drain the queue of a destination that left the configuration
    #[command(subcommand, after_help = spool::EXAMPLES)]
    Spool(spool::Command),
    /// List the providers that are built in, or print the description of one
    #[command(after_help = providers::EXAMPLES)]
    Providers(providers::Arguments),
    /// Say why a captured request is or isn't accepted, step by step, offline
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::Arguments),
    /// Print the JSON Schema of the configuration file
    #[command(after_help = SCHEMA_EXAMPLE)]
    Schema,
    /// Print the completions for a shell
    #[command(after_help = about::COMPLETIONS_EXAMPLES)]
    Completions(about::Completions),
    /// Print a manual page
    #[command(after_help = about::MANUAL_EXAMPLES)]
    Man(about::Manual),
}

/// The configuration file that is used unless another is named.
const CONFIG_FILE: &str = "hookbus.toml";

/// How a command ended, when it did not fail.
type CommandResult = Result<ExitCode, Failure>;

/// Time for the last lines to be taken by their reader.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The exit code of a command that ends with its terminal: the one that shells show for SIGHUP.
const HUNG_UP: u8 = 129;

/// What commands make of signals.
fn signal_policy(command: &str) -> SignalPolicy {
    let ended = SignalPolicy {
        interrupts: true,
        terminates: true,
        hangs_up: false,
        early_exit_code: 0,
        max_requests: 1,
    };
    match command {
        "serve" => SignalPolicy { hangs_up: true, ..ended },
        "dev" | "top" => ended,
        // The second one ends what is being answered or posted.
        "answer" | "forward" => SignalPolicy { max_requests: 2, ..ended },
        "tail" => SignalPolicy { terminates: false, ..ended },
        "dlq" | "spool" => SignalPolicy { terminates: false, early_exit_code: FAILED, ..ended },
        // They are killed, but not by a SIGHUP that is meant for a bridge.
        _ => {
            SignalPolicy { interrupts: false, terminates: false, early_exit_code: HUNG_UP, ..ended }
        }
    }
}

/// Run the command that the arguments of this process name.
pub fn main() -> ExitCode {
    // First of all, so that no signal finds the process unprepared.
    let command = std::env::args_os().nth(1);
    let policy = signal_policy(command.as_deref().and_then(OsStr::to_str).unwrap_or_default());
    let signals = Signals::listen(policy);
    stderr::start();
    let _written = Written;
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(usage) => return help(with_tip(usage)),
    };
    // One TLS provider for all clients in here; an error would mean that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    run(command, signals).unwrap_or_else(|failure| {
        eprint(&failure.text);
        ExitCode::from(failure.code)
    })
}

fn run(command: Command, signals: io::Result<Signals>) -> CommandResult {
    let signals = || {
        signals.map_err(|error| Failure::failed(format_args!("can't wait for signals: {error}")))
    };
    match command {
        Command::Serve { config } => serve(&config, &signals()?),
        Command::Dev(arguments) => dev::run(arguments, &signals()?),
        Command::Check(arguments) => check::run(&arguments),
        Command::Send(arguments) => send::run(arguments),
        Command::Answer(arguments) => answer::run(arguments, &signals()?),
        Command::Forward(arguments) => forward::run(*arguments, &signals()?),
        Command::Conform(arguments) => conform::run(arguments),
        Command::Tail(arguments) => tail::run(arguments, &signals()?),
        Command::Top(arguments) => top::run(arguments, &signals()?),
        Command::Health(arguments) => health::run(arguments),
        Command::Status(arguments) => status::run(arguments),
        Command::Dlq(command) => dlq::run(command, &signals()?),
        Command::Spool(command) => spool::run(command, &signals()?),
        Command::Providers(arguments) => providers::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Schema => print(config::schema().trim_end()),
        Command::Completions(arguments) => about::completions(&arguments),
        Command::Man(arguments) => about::manual(&arguments),
    }
}

/// Name the commands of `dlq` and the like where one is meant: `hookbus replay` is `hookbus dlq replay`.
fn with_tip(mut usage: clap::Error) -> clap::Error {
    let Some(ContextValue::String(word)) = usage.get(ContextKind::InvalidSubcommand) else {
        return usage;
    };
    let cli = Cli::command();
    let groups = cli.get_subcommands().filter(|group| group.find_subcommand(word).is_some());
    let tips: Vec<_> = groups
        .map(|group| format!("did you mean `hookbus {} {word}`?", group.get_name()).into())
        .collect();
    if !tips.is_empty() {
        usage.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    usage
}

/// The help that was asked for, or what is wrong with the arguments.
fn help(usage: clap::Error) -> ExitCode {
    if !usage.use_stderr() {
        // It may be on a pipe that is closed already.
        let _ = usage.print();
        return ExitCode::SUCCESS;
    }
    let text = usage.render();
    let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if io::stderr().is_terminal() && !wants_none {
        stderr::text(text.ansi());
    } else {
        stderr::text(text);
    }
    ExitCode::from(WRONG)
}

/// Sees to it that the last lines are written, however the command ends.
struct Written;

impl Drop for Written {
    fn drop(&mut self) {
        stderr::flush(FLUSH_TIMEOUT);
    }
}

fn serve(path: &Path, signals: &Signals) -> CommandResult {
    let config = load(path)?;
    telemetry::init(&config.log, config.telemetry.otlp.as_ref());
    block_on(async { Ok(serve::run(config, Some(path.to_owned()), signals, |_| ()).await?) })?;
    Ok(ExitCode::SUCCESS)
}

/// The configuration in a file. Warnings are printed at once; all errors together are the failure.
fn load(path: &Path) -> Result<Config, Failure> {
    settle(read(path)?)
}

/// A file, with all its problems.
fn read(path: &Path) -> Result<config::load::Loaded, Failure> {
    if !path.exists() {
        return Err(
            Failure::wrong(format_args!("there is no file {}", path.display())).hint(
                "`hookbus dev` needs no file; to write one, start from deploy/config/quickstart.toml or from `hookbus dev --print-config`",
            ),
        );
    }
    Ok(settings::read(path))
}

/// What was loaded, or all the problems that prevent it.
fn settle(loaded: config::load::Loaded) -> Result<Config, Failure> {
    let text = lines(&loaded.problems);
    match loaded.config {
        Some(config) => {
            if !text.is_empty() {
                eprint(text);
            }
            Ok(config)
        }
        None => Err(Failure { code: WRONG, text }),
    }
}

fn lines(items: &[impl Display]) -> String {
    let lines: Vec<String> = items.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

const FAILED: u8 = 1;
const WRONG: u8 = 2;

/// Why a command failed: a text for people, and the exit code.
#[derive(Debug)]
struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    /// Something did not work.
    fn failed(what: impl Display) -> Self {
        Self::new(FAILED, what)
    }

    /// The command line or the configuration is wrong.
    fn wrong(what: impl Display) -> Self {
        Self::new(WRONG, what)
    }

    fn new(code: u8, what: impl Display) -> Self {
        Self { code, text: format!("error: {what}") }
    }

    /// Add what to do next.
    fn hint(mut self, hint: impl Display) -> Self {
        // Writing to a String can't fail.
        let _ = write!(self.text, "\nhint: {hint}");
        self
    }
}

impl From<serve::Error> for Failure {
    fn from(error: serve::Error) -> Self {
        Self::new(error.exit_code(), error)
    }
}

/// Write one line, or several, to standard error. Text from outside can't control the terminal.
fn eprint(line: impl Display) {
    stderr::line(terminal::lines(&line.to_string()));
}

/// Write text and a line break to standard output. Text from outside can't control the terminal.
fn print(text: &str) -> CommandResult {
    write(terminal::lines(text).as_bytes())?;
    write(b"\n")?;
    Ok(ExitCode::SUCCESS)
}

/// Write bytes to standard output as they are, after what was printed before.
fn write(bytes: &[u8]) -> Result<(), Failure> {
    stderr::flush(FLUSH_TIMEOUT);
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format_args!("can't write to standard output: {error}")))
        }
        // `| head` has seen enough.
        _ => Ok(()),
    }
}

/// Run a future to its end on a runtime of its own.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format_args!("can't start threads: {error}")))?;
    let done = runtime.block_on(future);
    // Dropping it would wait for whatever is blocked in a thread.
    runtime.shutdown_background();
    done
}

#[cfg(test)]
mod tests;
