//! Dead letters listed, published again and dropped, and the queues beside them.

use futures_util::FutureExt as _;

use super::script::{Mode, Paths, in_time, no_topic, pass, reject, retry, until};
use super::*;
use crate::publish::dead_letters::{
    DROP, Filter, LIST, Line, Lines, Refused, SpoolTasks, Summary, Task,
};
use crate::publish::drain::MAX_ATTEMPTS;

/// A destination of several names.
const TO: &str = "nats:e.{type}";
const ATTEMPTS: usize = MAX_ATTEMPTS as usize;

/// A process with dead letters of these names, numbered from 0 on.
async fn with_dead_letters(folder: &tempfile::TempDir, names: &[&str]) -> (Paths, SpoolTasks) {
    let paths = Paths::new(folder.path(), 1_000).await;
    configured(&paths.all, TO, 1_000);
    paths.nats.all(reject());
    for (id, name) in names.iter().enumerate() {
        let storing = paths.begin_as(name, &[TO], "", &id.to_string());
        until("a receipt", || storing.is_finished()).await;
        assert_eq!(storing.await.unwrap(), Ok(Receipt::DeadLettered));
    }
    paths.nats.all(Mode::Takes);
    let tasks = SpoolTasks::new(paths.all.clone());
    (paths, tasks)
}

fn meant(query: &str) -> Filter {
    Filter::read(query).unwrap()
}

/// All lines of a task but the last, and that.
async fn run(mut lines: Lines) -> (Vec<Line>, Summary) {
    let (mut all, mut last) = (Vec::new(), None);
    in_time("the end of a task", || {
        while let Ok(line) = lines.try_recv() {
            match line {
                Line::Summary(summary) => last = Some(summary),
                line => all.push(line),
            }
        }
        last.is_some()
    })
    .await;
    (all, last.unwrap())
}

/// The ids of dead letters, and what became of them.
fn entries(lines: &[Line]) -> Vec<String> {
    let entry = |line: &Line| match line {
        Line::DeadLetter(entry) => match entry.outcome {
            Some(outcome) => Some(format!("{} {outcome:?}", entry.id)),
            None => Some(entry.id.to_string()),
        },
        _ => None,
    };
    lines.iter().filter_map(entry).collect()
}

/// Why destinations and names were left alone.
fn given_up(lines: &[Line]) -> Vec<&str> {
    let errors = lines.iter().filter_map(|line| match line {
        Line::GivenUp { error, .. } => Some(error.as_str()),
        _ => None,
    });
    errors.collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_meant_is_published_or_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let (paths, tasks) = with_dead_letters(&folder, &["e.a"; 6]).await;
    let (lines, summary) =
        run(tasks.begin(Task::List(meant("id=1&id=3"), u64::MAX)).unwrap()).await;
    assert_eq!(entries(&lines), ["1", "3"]);
    assert_eq!((summary.matched, summary.left, summary.queued), (2, 2, Some(0)));
    assert!(matches!(tasks.begin(Task::Replay(meant(""))), Err(Refused::Everything)));

    paths.nats.one("3", reject());
    let (mut lines, summary) = run(tasks.begin(Task::Replay(meant("all=true"))).unwrap()).await;
    lines.sort_by_key(|line| match line {
        Line::DeadLetter(entry) => entry.position,
        _ => 0,
    });
    let became = ["0 Published", "1 Published", "2 Published", "3 Rejected", "4 Published"];
    assert_eq!(entries(&lines)[..5], became);
    assert_eq!((summary.matched, summary.published, summary.left), (6, 5, 1));
    assert_eq!((summary.rejected, summary.dropped, summary.stopped), (1, 0, None));
    assert_eq!(paths.nats.taken().len(), 5);

    let (lines, summary) = run(tasks.begin(Task::Drop(meant("all=true"))).unwrap()).await;
    assert_eq!(entries(&lines), ["3 Dropped"]);
    assert_eq!((summary.matched, summary.dropped, summary.left), (1, 1, 0));
    let (lines, summary) = run(tasks.begin(Task::List(meant(""), u64::MAX)).unwrap()).await;
    assert_eq!((lines.len(), summary.matched, summary.left), (0, 0, 0));
}

/// A long list comes in pages, each of which says where the next one begins; and what came since can be left alone.
#[tokio::test(start_paused = true)]
async fn a_list_has_pages() {
    let folder = tempfile::tempdir().unwrap();
    let (_paths, tasks) = with_dead_letters(&folder, &["e.a"; 5]).await;
    let (mut query, mut pages) = ("limit=2".to_owned(), Vec::new());
    loop {
        let task = Task::read(false, LIST, &query).unwrap().unwrap();
        assert_eq!(task.request().2, query);
        let (lines, summary) = run(tasks.begin(task).unwrap()).await;
        assert_eq!((summary.dead_letters, summary.end), (Some(5), Some(5)));
        assert_eq!(summary.matched, lines.len() as u64);
        pages.push(entries(&lines));
        let Some(next) = summary.next else { break };
        query = format!("from={next}&limit=2");
    }
    assert_eq!(pages, [vec!["0", "1"], vec!["2", "3"], vec!["4"]]);
    let (lines, _) = run(tasks.begin(Task::Drop(meant("before=2"))).unwrap()).await;
    assert_eq!(entries(&lines), ["0 Dropped", "1 Dropped"]);
    assert!(Task::read(true, DROP, "all=true&limit=2").unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn nothing_else_is_touched_than_what_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    let (paths, tasks) = with_dead_letters(&folder, &["e.a"; 5]).await;
    let (lines, summary) = run(tasks.begin(Task::Drop(meant("id=1"))).unwrap()).await;
    assert_eq!((entries(&lines), summary.matched), (vec!["1 Dropped".to_owned()], 1));
    let (lines, summary) = run(tasks.begin(Task::Replay(meant("id=2&id=3"))).unwrap()).await;
    let became = |entry: &str| entries(&lines).iter().any(|one| one == entry);
    assert!(became("2 Published") && became("3 Published"), "{lines:?}");
    assert_eq!((summary.matched, summary.published, summary.left), (2, 2, 0));
    assert_eq!(paths.nats.taken().len(), 2);
    let (lines, _) = run(tasks.begin(Task::List(meant("all=true"), u64::MAX)).unwrap()).await;
    assert_eq!(entries(&lines), ["0", "4"]);
}

/// Failures count in a row.
#[tokio::test(start_paused = true)]
async fn a_destination_that_works_in_between_is_not_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (paths, tasks) = with_dead_letters(&folder, &["e.a"; 30]).await;
    for id in (0..30).filter(|id| id % ATTEMPTS != ATTEMPTS - 1) {
        paths.nats.one(&id.to_string(), retry());
    }
    let (lines, summary) = run(tasks.begin(Task::Replay(meant("all=true"))).unwrap()).await;
    assert_eq!(given_up(&lines), [""; 0]);
    assert_eq!((summary.matched, summary.published, summary.left), (30, 10, 20));
}

/// Of a destination that left the configuration nobody says anything afterwards.
#[tokio::test(start_paused = true)]
async fn what_fails_is_a_problem_only_where_somebody_routes_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let (before, _) = with_dead_letters(&folder, &["e.a"; 5]).await;
    before.spool.close();
    drop(before);
    let paths = Paths::new(folder.path(), 1_000).await;
    let tasks = SpoolTasks::new(paths.all.clone());
    paths.nats.all(retry());
    let (lines, summary) = run(tasks.begin(Task::Replay(meant("all=true"))).unwrap()).await;
    assert_eq!((given_up(&lines).len(), summary.left), (1, 5));
    let said = || paths.health.readiness().1.contains(&format!("problem: {TO}"));
    assert!(!said(), "{}", paths.health.readiness().1);
    configured(&paths.all, TO, 1_000);
    let (lines, summary) = run(tasks.begin(Task::Replay(meant("all=true"))).unwrap()).await;
    assert_eq!((given_up(&lines).len(), summary.left), (1, 5));
    assert!(said(), "{}", paths.health.readiness().1);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_fails_again_and_again_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (paths, tasks) = with_dead_letters(&folder, &["e.a"; 20]).await;
    paths.nats.all(retry());
    let before = paths.nats.attempts();
    let (lines, summary) = run(tasks.begin(Task::Replay(meant("all=true"))).unwrap()).await;
    // With those that were under way when it was given up.
    let attempts = paths.nats.attempts() - before;
    assert!((ATTEMPTS..ATTEMPTS * 2).contains(&attempts), "{attempts}");
    assert_eq!((entries(&lines).len(), given_up(&lines).len()), (attempts, 1));
    assert_eq!((summary.matched, summary.published, summary.left), (20, 0, 20));
}

/// One that works in between begins to count anew.
#[tokio::test(start_paused = true)]
async fn a_name_that_fails_again_and_again_is_left_alone_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["e.a", "e.b"].repeat(100);
    let (paths, tasks) = with_dead_letters(&folder, &names).await;
    paths.nats.name("e.a", no_topic());
    paths.nats.one("2", Mode::Takes);
    let (lines, summary) = run(tasks.begin(Task::Replay(meant("all=true"))).unwrap()).await;
    let failed = entries(&lines).iter().filter(|entry| entry.ends_with("Failed")).count();
    assert!((ATTEMPTS..80).contains(&failed), "{failed}");
    assert!(matches!(given_up(&lines)[..], [why] if why.ends_with("(`e.a`)")));
    assert_eq!((summary.matched, summary.published, summary.left), (200, 101, 99));
    assert_eq!(paths.nats.taken_by("e.b").len(), 100);
}

/// Until something is acknowledged no more is tried than it takes to give up.
#[tokio::test(start_paused = true)]
async fn little_is_in_flight_before_something_works() {
    let folder = tempfile::tempdir().unwrap();
    let (paths, tasks) = with_dead_letters(&folder, &["e.a"; 100]).await;
    paths.nats.most_under_way();
    paths.nats.all(Mode::Hangs);
    let lines = tasks.begin(Task::Replay(meant("all=true"))).unwrap();
    in_time("the first ones", || paths.nats.under_way() > 0).await;
    pass(Duration::from_millis(100)).await;
    assert_eq!(paths.nats.under_way(), ATTEMPTS);
    paths.nats.one("0", Mode::Takes);
    in_time("many", || paths.nats.under_way() > ATTEMPTS).await;
    pass(Duration::from_millis(100)).await;
    assert_eq!(paths.nats.under_way(), 64);
    assert!(matches!(tasks.begin(Task::Drop(meant("all=true"))), Err(Refused::Busy)));

    // What is in flight is waited for.
    tasks.stop();
    assert!(matches!(tasks.begin(Task::Drop(meant("all=true"))), Err(Refused::Stopping)));
    pass(Duration::from_millis(100)).await;
    assert!(tasks.idle().now_or_never().is_none());
    paths.nats.all(Mode::Takes);
    let (_, summary) = run(lines).await;
    assert_eq!(summary.stopped.as_deref(), Some("the bridge is stopping"));
    assert_eq!((summary.published, summary.left), (65, summary.matched - 65));
    tasks.idle().await;
}

#[tokio::test(start_paused = true)]
async fn queues_are_listed_with_what_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    let (paths, tasks) = with_dead_letters(&folder, &["e.a"; 2]).await;
    paths.nats.all(retry());
    for id in ["1", "2", "3"] {
        assert_eq!(paths.store("k", id).await, Ok(Receipt::Spooled));
    }
    let (lines, summary) = run(tasks.begin(Task::Queues).unwrap()).await;
    assert_eq!((summary.matched, summary.left, summary.dead_letters), (3, 3, Some(2)));
    let [Line::Queue(queue)] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&*queue.destination, queue.records, queue.apart), ("nats:events", 3, 0));
    assert!(queue.bytes > 100 && queue.oldest.is_some() && queue.is_configured);
}

#[test]
fn a_task_is_asked_for_by_a_request() {
    for task in [
        Task::List(meant("id=a&all=true"), u64::MAX),
        Task::Queues,
        Task::Replay(meant("type=b%20c")),
        Task::Drop(meant("")),
        Task::Drain("nats:a{type}&b=c".to_owned()),
    ] {
        let (is_post, path, query) = task.request();
        let read = Task::read(is_post, path, &query).unwrap().unwrap();
        assert_eq!(format!("{read:?}"), format!("{task:?}"));
        assert_eq!(is_post, matches!(task, Task::Replay(_) | Task::Drop(_) | Task::Drain(_)));
        assert!(Task::read(!is_post, path, &query).is_none());
        assert!(Task::read(is_post, "/other", &query).is_none());
    }
    for query in ["", "destination", "other=a", "destination=a&destination=b", "destination=a&id=b"]
    {
        let read = Task::read(true, "/spool/drain", query).unwrap();
        assert_eq!(read.is_err(), query != "destination", "{query}");
    }
}
