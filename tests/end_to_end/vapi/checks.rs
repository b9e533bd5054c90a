//! Many answers, looked at by Vapi's own models in one go: Python takes its time to start.

use crate::support::{process, python};
use serde_json::json;

const SCRIPT: &str = r#"
import contextlib, io, json, os, sys, tempfile
sys.path.insert(0, sys.argv[1])
import check_reply
cases, verdicts = json.load(sys.stdin), []
for case in cases:
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as request:
        request.write(case["request"])
    sys.argv = ["check_reply.py", "--request", request.name, case["type"]]
    sys.stdin = io.TextIOWrapper(io.BytesIO(bytes.fromhex(case["reply"])))
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = check_reply.main()
    verdicts.append(None if code == 0 else said.getvalue() or f"exit code {code}")
    os.unlink(request.name)
json.dump(verdicts, sys.stdout)
"#;

/// Answers that are to be looked at.
#[derive(Default)]
pub(super) struct Checks(Vec<serde_json::Value>);

impl Checks {
    pub(super) fn add(&mut self, kind: &str, request: &str, reply: &[u8]) {
        let reply: String = reply.iter().map(|byte| format!("{byte:02x}")).collect();
        self.0.push(json!({"type": kind, "request": request, "reply": reply}));
    }

    /// Fails with all that is wrong in any of them.
    pub(super) async fn run(self) {
        let folder = crate::support::project().join("tests/end_to_end/vapi");
        let cases = serde_json::to_vec(&self.0).unwrap();
        let Some(output) = python::code(SCRIPT, &[folder.to_str().unwrap()], &cases).await else {
            return;
        };
        let verdicts = verdicts(&output);
        assert_eq!(verdicts.len(), self.0.len());
        let wrong: Vec<_> = self
            .0
            .iter()
            .zip(&verdicts)
            .filter_map(|(case, verdict)| Some((case, verdict.as_ref()?)))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

fn verdicts(output: &process::Output) -> Vec<Option<String>> {
    serde_json::from_str(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", output.stderr))
}
