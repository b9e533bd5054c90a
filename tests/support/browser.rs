//! A real browser: Chromium, driven by Playwright from the code of the tests.

use super::process::Process;
use super::{installed, missing, project, tool};
use serde_json::Value;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long a step may take. Waits within one have limits of their own.
const STEP: Duration = Duration::from_secs(90);

pub(crate) struct Browser {
    process: Process,
    answers: Receiver<String>,
}

impl Browser {
    /// With an empty page of 1280 by 800. Nothing when some part isn't on this machine.
    pub(crate) fn start() -> Option<Browser> {
        let (modules, program) = (tool("browser"), installed("chromium"));
        let node = Command::new("node").arg("--version").output().is_ok();
        let (true, true, Some(program)) = (node, modules.join("installed.json").exists(), program)
        else {
            missing("a browser (run: make tools)");
            return None;
        };
        let mut command = Command::new("node");
        command.arg(project().join("tests/support/browser.mjs")).arg(modules).arg(program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut process = Process::start(&mut command, None);
        let (sender, answers) = channel();
        let pipe = process.child().stdout.take().unwrap();
        std::thread::spawn(move || {
            use std::io::BufRead as _;
            for line in std::io::BufReader::new(pipe).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Some(Browser { process, answers })
    }

    /// Runs the body of an async function with `page`, `context`, `assert` and `axe`, and gives what it returns.
    pub(crate) fn run(&mut self, code: &str) -> Value {
        let line = Value::from(code).to_string();
        let pipe = self.process.child().stdin.as_mut().unwrap();
        writeln!(pipe, "{line}").unwrap();
        let answer = tokio::task::block_in_place(|| self.answers.recv_timeout(STEP));
        let answer: Value = serde_json::from_str(&answer.expect("an answer in time")).unwrap();
        if let Some(error) = answer["error"].as_str() {
            panic!("{code}\n{error}");
        }
        answer["value"].clone()
    }

    /// Waits until the page shows this.
    pub(crate) fn shows(&mut self, text: &str) {
        let text = Value::from(text);
        self.run(&format!(
            "await page.getByText({text}).filter({{visible: true}}).first().waitFor()"
        ));
    }
}
