//! What authentication costs a request that is let in, and what one costs that is refused.

use std::time::Duration;

use crate::bodies::Body;
use crate::load::{Credential, KEYS, Load};
use crate::server::{PATH, SECRET, Server};
use crate::support::{Kafka, Nats};
use crate::{Arguments, WARM_UP, human, median};

/// Requests a second of every case: a server under full load spends less on each.
const RATE: f64 = 1_500.0;

/// Measures all cases in turn, in one process, and prints a table.
pub(crate) async fn measure(arguments: &Arguments, nats: &Nats, kafka: &Kafka) {
    let server = Server::bridge_with_endpoints(nats, kafka).await;
    let address = server.address();
    let time = Duration::from_secs_f64(arguments.seconds);
    println!("| body | nobody asked | secret | HMAC-SHA256 | wrong secret | wrong HMAC |");
    println!("|---:|---:|---:|---:|---:|---:|");
    let sizes = arguments.size.map_or(crate::bodies::SIZES.to_vec(), |size| vec![size]);
    for size in sizes {
        let body = Body::event("status-update", size);
        let connect =
            async |path, credential| Load::connect(&address, path, credential, &body, KEYS).await;
        let (right, wrong) = (Credential::signature(SECRET), Credential::signature("another"));
        let mut loads = [
            connect("/open", Credential::None).await,
            connect(PATH, SECRET.into()).await,
            connect("/signed", right).await,
            connect(PATH, "another".into()).await.refused(),
            connect("/signed", wrong).await.refused(),
        ];
        let mut costs = [const { Vec::new() }; 5];
        for load in &mut loads {
            load.run(WARM_UP, Some(RATE)).await;
        }
        // All at the rate that the first one reaches.
        let mut rate = arguments.rate.unwrap_or(RATE);
        for _ in 0..arguments.rounds {
            for (load, costs) in loads.iter_mut().zip(&mut costs) {
                let before = server.cpu();
                let seen = load.run(time, Some(rate)).await;
                let count = seen.latencies.len() as f64;
                costs.push((server.cpu() - before).as_secs_f64() * 1e6 / count);
                rate = rate.min(count / seen.elapsed.as_secs_f64());
            }
        }
        let costs = costs.map(|costs| median(costs.into_iter()));
        let cells = costs.map(|cost| format!("{cost:.1} ({:.2})", cost / costs[0]));
        println!("| {} | {} |", human(size), cells.join(" | "));
    }
}
