//! The binary in the file system that the image has at run time.

use super::packaged;
use crate::support::bridge::program;
use crate::support::project;
use std::time::Duration;
use tokio::process::Command;

/// Making the file system is a matter of the network.
const LIMIT: Duration = Duration::from_secs(300);

#[tokio::test]
async fn it_runs_read_only_as_a_user_whom_nobody_knows() {
    if packaged("mmdebstrap", "mmdebstrap").is_none() || packaged("bubblewrap", "bwrap").is_none() {
        return;
    }
    let mut script = Command::new(project().join("deploy/tools/image-test.sh"));
    script.arg(program().get_program()).kill_on_drop(true);
    let tested = tokio::time::timeout(LIMIT, script.output()).await;
    let tested = tested.expect("it ends in time").unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
}
