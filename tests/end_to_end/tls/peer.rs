//! Looking at the certificate of a server that isn't trusted.

use super::bridge;
use crate::support::Authority;
use hookbus::tls::peer::date_problem;

#[tokio::test]
async fn the_dates_of_a_certificate_are_told() {
    let Some(authority) = Authority::new("test authority") else { return };
    for (from, until, part) in [
        (-9, -2, Some("the certificate expired at ")),
        (2, 9, Some("the certificate isn't valid before ")),
        (-9, 900, None),
    ] {
        let identity = authority.sign_between("server", from, until);
        let Some(setup) = bridge(&authority, &identity, "").await else { return };
        let bridge = setup.start().await;
        let (host, port) = bridge
            .address()
            .rsplit_once(':')
            .map(|(a, b)| (a.to_owned(), b.parse().unwrap()))
            .unwrap();
        let problem = date_problem(&host, port).await;
        match part {
            Some(part) => {
                assert!(problem.as_ref().is_some_and(|text| text.contains(part)), "{problem:?}")
            }
            None => assert_eq!(problem, None),
        }
    }
    assert_eq!(date_problem("127.0.0.1", 1).await, None);
}
