//! A terminal: tmux, which shows what stands in it.

use super::process::Process;
use super::{eventually, installed, missing};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

pub(crate) struct Terminal {
    _server: Process,
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl Terminal {
    /// Of this size, with a shell in it. Nothing when tmux isn't on this machine.
    pub(crate) async fn start(columns: u16, rows: u16) -> Option<Terminal> {
        let Some(program) = installed("tmux") else {
            missing("tmux (run: make tools)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let mut server = Command::new(&program);
        server.args(["-u", "-f", "/dev/null", "-D", "-S"]).arg(folder.path().join("socket"));
        server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Process::start(&mut server, Some(folder.path()));
        let terminal = Terminal { _server: server, program, folder };
        let size = [columns.to_string(), rows.to_string()];
        eventually("a terminal", SOON, async || {
            let arguments =
                ["new-session", "-d", "-x", &size[0], "-y", &size[1], "env PS1='ready>' sh"];
            terminal.command(&arguments)
        })
        .await;
        terminal.shows("ready>").await;
        Some(terminal)
    }

    fn command(&self, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new(&self.program);
        command.args(["-u", "-S"]).arg(self.folder.path().join("socket")).args(arguments);
        let output = command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn done(&self, arguments: &[&str]) -> String {
        self.command(arguments).unwrap_or_else(|| panic!("tmux {arguments:?}"))
    }

    /// Types a line, and Enter.
    pub(crate) fn types(&self, line: &str) {
        self.done(&["send-keys", "-l", line]);
        self.presses("Enter");
    }

    /// A key by the name that tmux has for it.
    pub(crate) fn presses(&self, key: &str) {
        self.done(&["send-keys", key]);
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.done(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// What stands in it now.
    pub(crate) fn screen(&self) -> String {
        self.done(&["capture-pane", "-p"])
    }

    /// Whether a program has taken all of it, as editors do.
    pub(crate) fn is_taken(&self) -> bool {
        self.done(&["display-message", "-p", "#{alternate_on}"]).trim() == "1"
    }

    /// Waits until it shows this.
    pub(crate) async fn shows(&self, text: &str) -> String {
        self.shows_that(text, |screen| screen.contains(text)).await
    }

    /// Waits until what it shows is so.
    pub(crate) async fn shows_that(&self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let until = tokio::time::Instant::now() + SOON;
        while tokio::time::Instant::now() < until {
            last = self.screen();
            if is_it(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("waited for {what} in\n{last}");
    }
}
