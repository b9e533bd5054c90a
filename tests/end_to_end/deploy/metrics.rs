//! Alerts and dashboard against what the bridge exports and what the documentation explains.

use super::{at, list, promtool, read, text, yaml};
use crate::docs::anchors;
use crate::support::bridge::is_metric;
use crate::support::project;
use std::collections::BTreeSet;
use std::path::Path;

const ALERTS: &str = "deploy/prometheus/alerts.yaml";

/// Something that is asked of Prometheus.
#[derive(Debug)]
pub(super) struct Query {
    /// The alert, or the title of the panel.
    pub(super) place: String,
    pub(super) expression: String,
    /// The text that shows what comes.
    pub(super) shown: String,
}

/// The queries of the dashboard.
pub(super) fn dashboard() -> Vec<Query> {
    let board: serde_json::Value =
        serde_json::from_str(&read("deploy/grafana/hookbus.json")).unwrap();
    let panels = list(&board, "/panels").iter().filter(|panel| text(panel, "/type") != "row");
    let queries = panels.flat_map(|panel| {
        list(panel, "/targets").iter().map(|target| Query {
            place: text(panel, "/title").to_owned(),
            expression: text(target, "/expr").to_owned(),
            shown: text(target, "/legendFormat").to_owned(),
        })
    });
    queries.collect()
}

#[tokio::test]
async fn prometheus_loads_the_alerts_and_each_fires_when_it_should() {
    for arguments in [
        ["check", "config", "deploy/prometheus/prometheus.yml"],
        ["check", "rules", ALERTS],
        ["test", "rules", "deploy/prometheus/alerts_test.yaml"],
    ] {
        if promtool(&arguments).await.is_none() {
            return;
        }
    }
}

#[tokio::test]
async fn each_alert_has_a_severity_a_test_and_a_runbook() {
    let Some(files) = yaml(&read(ALERTS)).await else { return };
    let Some(tests) = yaml(&read("deploy/prometheus/alerts_test.yaml")).await else { return };
    // Of the cases in which it fires, and of those in which it is silent.
    let cases = list(&tests[0], "/tests").iter().flat_map(|test| list(test, "/alert_rule_test"));
    let (fires, silent): (Vec<_>, Vec<_>) =
        cases.partition(|case| !list(case, "/exp_alerts").is_empty());
    let names = |cases: Vec<_>| -> BTreeSet<String> {
        cases.into_iter().map(|case| text(case, "/alertname").to_owned()).collect()
    };
    let (fires, silent) = (names(fires), names(silent));
    let headings = anchors(&project().join("docs/operations.md"));
    let mut alerts = BTreeSet::new();
    for rule in list(&files[0], "/groups/0/rules") {
        let name = text(rule, "/alert");
        alerts.insert(name.to_owned());
        assert!(["critical", "warning"].contains(&text(rule, "/labels/severity")), "{name}");
        assert!(!text(rule, "/annotations/summary").is_empty(), "{name}");
        let runbook = text(rule, "/annotations/runbook_url");
        let heading = runbook.strip_prefix("docs/operations.md#").expect("a heading of the page");
        assert_eq!(heading, name.to_lowercase());
        assert!(headings.iter().any(|known| known == heading), "{name}: {runbook}");
    }
    assert_eq!(alerts, fires);
    assert_eq!(alerts, silent);
    let explained = read("docs/operations.md");
    let explained = explained.lines().filter_map(|line| line.strip_prefix("### Hookbus"));
    let explained: BTreeSet<_> = explained.map(|rest| format!("Hookbus{rest}")).collect();
    assert_eq!(alerts, explained);
}

/// What is asked of metrics in one place.
#[derive(Debug, Default)]
struct Asked<'a> {
    names: Vec<&'a str>,
    labels: Vec<&'a str>,
    /// What labels are compared with.
    values: Vec<&'a str>,
}

fn is_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_'
}

impl<'a> Asked<'a> {
    /// By a query, and by the text that shows its results.
    fn of(query: &'a str, shown: &'a str) -> Self {
        // Texts are every second part.
        let (code, texts): (Vec<_>, Vec<_>) =
            query.split('"').enumerate().partition(|(number, _)| number % 2 == 0);
        let code = code.into_iter().map(|(_, part)| part);
        let words = code.clone().flat_map(|part| part.split(|char| !is_word(char)));
        let is_ours = |word: &&str| word.starts_with("hookbus_") || word.starts_with("process_");
        // A matcher ends where its text begins.
        let matched = code.filter_map(|part| {
            let name = part.trim_end_matches(['=', '~', '!']);
            (name.len() < part.len()).then(|| name.rsplit(|char| !is_word(char)).next().unwrap())
        });
        let grouped = query
            .split("by (")
            .skip(1)
            .flat_map(|rest| rest[..rest.find(')').unwrap()].split(", "));
        let shown = shown.split("{{").skip(1).filter_map(|rest| {
            let name = rest[..rest.find("}}").unwrap()].trim();
            // `$value` is none.
            let name = name.strip_prefix("$labels.").or((!name.starts_with('$')).then_some(name));
            name.map(|name| name.split(' ').next().unwrap())
        });
        let values = texts.into_iter().flat_map(|(_, text)| text.split('|'));
        Asked {
            names: words.filter(is_ours).collect(),
            labels: matched.chain(grouped).chain(shown).collect(),
            values: values.filter(|value| !value.is_empty() && !value.contains('$')).collect(),
        }
    }
}

/// The labels of a metric, as the documentation explains it.
fn labels(name: &str) -> Vec<String> {
    let page = read("docs/operations.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let row = rows.filter(|row| row.starts_with("hookbus_")).find(|row| {
        let rest = name.strip_prefix(row.split('`').next().unwrap());
        rest.is_some_and(|rest| ["", "_bucket", "_count", "_sum"].contains(&rest))
    });
    let cell = row.and_then(|row| row.split('|').nth(1)).unwrap_or_default();
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// All code of the bridge, where the values of labels are written.
fn sources(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[tokio::test]
async fn every_metric_and_label_that_is_asked_for_exists() {
    let Some(files) = yaml(&read(ALERTS)).await else { return };
    let rules = list(&files[0], "/groups/0/rules").iter();
    let alerts = rules.map(|rule| Query {
        place: text(rule, "/alert").to_owned(),
        expression: text(rule, "/expr").to_owned(),
        shown: text(rule, "/annotations/summary").to_owned(),
    });
    let page = read("docs/operations.md");
    let mut code = String::new();
    sources(&project().join("src"), &mut code);
    let mut count = 0;
    for Query { place, expression, shown } in alerts.chain(dashboard()) {
        let asked = Asked::of(&expression, &shown);
        // Those that Prometheus and its histograms bring.
        let mut known = ["instance", "job", "le"].map(str::to_owned).to_vec();
        for name in asked.names {
            // Those of the process have no row of their own.
            let is_named = name.starts_with("process_") && page.contains(&format!("`{name}`"));
            assert!(is_named || is_metric(name), "{place}: there is no metric {name}");
            known.extend(labels(name));
            count += 1;
        }
        for label in asked.labels {
            assert!(
                known.iter().any(|known| known == label),
                "{place}: no label {label} in {known:?}"
            );
        }
        for value in asked.values {
            // The job is what Prometheus itself is told.
            let exists = value == "hookbus" || code.contains(&format!("\"{value}\""));
            assert!(exists, "{place}: no label has the value {value}");
        }
    }
    assert!(count > 40, "{count}");
}

#[tokio::test]
async fn grafana_finds_the_dashboard_where_compose_puts_it() {
    let Some(compose) = yaml(&read("deploy/compose.yaml")).await else { return };
    let grafana = at(&compose[0], "/services/grafana");
    let volumes: Vec<_> =
        list(grafana, "/volumes").iter().map(|volume| volume.as_str().unwrap()).collect();
    let mounted = volumes.iter().find_map(|volume| volume.strip_prefix("./grafana/hookbus.json:"));
    let mounted = mounted.expect("the dashboard").trim_end_matches(":ro");
    let Some(provider) = yaml(&read("deploy/grafana/provisioning/dashboards/hookbus.yaml")).await
    else {
        return;
    };
    let folder = text(&provider[0], "/providers/0/options/path");
    assert_eq!(Path::new(mounted).parent(), Some(Path::new(folder)));
    assert_eq!(text(grafana, "/environment/GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"), mounted);
    let Some(source) = yaml(&read("deploy/grafana/provisioning/datasources/prometheus.yaml")).await
    else {
        return;
    };
    assert_eq!(text(&source[0], "/datasources/0/url"), "http://prometheus:9090");
    assert!(compose[0].pointer("/services/prometheus").is_some());
}
