//! Many endpoints, of every provider that is built in.

use std::fmt::Write as _;
use std::time::Duration;

use crate::support::{Bridge, eventually, nats, project};

const ENDPOINTS: usize = 200;
/// Memory of a bridge with that many, in bytes: of its own, for a debug executable alone has 40 MB mapped.
const MAX_MEMORY: u64 = 45 << 20;

#[tokio::test]
async fn two_hundred_endpoints_take_little_memory() {
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("MANY", &["many-endpoints.>"]).await;
    let files = std::fs::read_dir(project().join("src/source/providers")).unwrap();
    let names = files.filter_map(|file| {
        let name = file.unwrap().file_name().into_string().unwrap();
        name.strip_suffix(".toml").map(str::to_owned)
    });
    let names: Vec<_> = names.collect();
    let mut text = String::new();
    for (number, name) in names.iter().cycle().take(ENDPOINTS).enumerate() {
        write!(
            text,
            "[[endpoint]]\nname = \"many-{number}\"\npath = \"/many-{number}\"\nsource = \"{name}\"\n\
             auth = [{{ kind = \"none\" }}]\n\
             [[endpoint.event]]\ntypes = [\"*\"]\nto = [\"nats:many-endpoints.{{endpoint}}.{{type}}\"]\n",
        )
        .unwrap();
    }
    let bridge = Bridge::config(&text).nats(nats).start_ready().await;
    // What only the start needed is given back within seconds.
    eventually(&format!("less than {MAX_MEMORY} bytes"), Duration::from_secs(20), async || {
        (bridge.anonymous_bytes() < MAX_MEMORY).then_some(())
    })
    .await;
    // All of them are served: what they don't understand they refuse, and none is unknown.
    for number in 0..ENDPOINTS {
        let answer = bridge.post(&format!("/many-{number}"), "[]".to_owned(), &[]).await;
        assert_ne!(answer.status, 404, "{number}");
    }
}
