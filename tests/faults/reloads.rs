//! Changes of the configuration, all the time: an endpoint with a destination of its own comes and goes.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::random::Random;
use crate::support::Bridge;
use crate::support::http::Client;
use crate::webhook::Destination;

const BETWEEN: Duration = Duration::from_millis(900);

/// Reloads until it is dropped.
pub(crate) struct Reloads {
    task: JoinHandle<()>,
    done: Arc<Mutex<Done>>,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Done {
    pub(crate) count: usize,
    /// What a bridge said that lived and took nothing over.
    pub(crate) refused: Vec<String>,
}

impl Reloads {
    pub(crate) fn start(bridge: &Bridge, name: &str, mut random: Random) -> Reloads {
        let file = bridge.folder().join("hookbus.toml");
        let short = fs::read_to_string(&file).unwrap();
        let long = format!("{short}\n{}", more(name));
        let (client, url) = (Client::new(), bridge.admin_url("/reload"));
        let done = Arc::new(Mutex::new(Done::default()));
        let noted = done.clone();
        let task = tokio::spawn(async move {
            for text in [&long, &short].into_iter().cycle() {
                sleep(random.about(BETWEEN)).await;
                // It may be starting, and must not read a half.
                replace(&file, text);
                // Nobody answers while it is down.
                if let Ok(answer) = client.try_post(&url, "").await {
                    let mut done = noted.lock().unwrap();
                    match answer.status {
                        200 => done.count += 1,
                        // It is stopping.
                        503 => {}
                        status => done.refused.push(format!("{status}: {}", answer.text())),
                    }
                }
            }
        });
        Reloads { task, done }
    }

    /// No more of them.
    pub(crate) fn end(&self) -> Done {
        self.task.abort();
        self.done.lock().unwrap().clone()
    }
}

impl Drop for Reloads {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the longer configuration has more: a destination that is shared, and one that is new.
fn more(name: &str) -> String {
    let shared = Destination::Topic.text(name);
    format!(
        r#"
        [[endpoint]]
        name = "{name}-more"
        path = "/more"
        source = "vapi"
        [[endpoint.auth]]
        kind = "none"
        [[endpoint.event]]
        types = ["hang"]
        to = ["{shared}", "nats:{name}.events.more"]
        "#
    )
}

fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).and_then(|()| fs::rename(new, file)).unwrap();
}
