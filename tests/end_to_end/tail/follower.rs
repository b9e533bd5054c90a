//! The command, as it follows a bridge.

use crate::support::Bridge;
use crate::support::bridge::program;
use crate::support::process::Program;
use serde_json::Value;
use std::ops::{Deref, DerefMut};
use std::process::ExitStatus;

pub(crate) struct Follower(Program);

impl Follower {
    /// Returns when it follows.
    pub(crate) async fn start(bridge: &Bridge, arguments: &[&str]) -> Follower {
        let mut follower = Follower::begin(bridge, arguments, None);
        follower.said("following").await;
        follower
    }

    pub(crate) fn begin(bridge: &Bridge, arguments: &[&str], token: Option<&str>) -> Follower {
        let mut command = program();
        command
            .args(["tail", "--admin", &bridge.admin_url("")])
            .args(arguments)
            .envs(token.map(|token| ("HOOKBUS_ADMIN_TOKEN", token)));
        Follower(Program::start(&mut command))
    }

    /// The lines, once there are so many, as JSON.
    pub(crate) async fn json(&self, count: usize) -> Vec<Value> {
        let lines = self.lines(count).await;
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Ctrl-C.
    pub(crate) async fn interrupt(&mut self) -> ExitStatus {
        self.process.signal("INT");
        self.ends().await
    }
}

impl Deref for Follower {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.0
    }
}

impl DerefMut for Follower {
    fn deref_mut(&mut self) -> &mut Program {
        &mut self.0
    }
}
