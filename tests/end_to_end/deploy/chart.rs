//! The Helm chart, and the plain manifests that are made of it.

use super::{at, list, promtool, read, text, yaml};
use crate::docs::commands::exists;
use crate::support::bridge::program;
use crate::support::process::{Output, output};
use crate::support::{Authority, missing, project, python, tool};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tokio::process::Command;

const CHART: &str = "deploy/helm/hookbus";
/// The oldest that the chart says it is for, and the newest whose schemas there are.
const KUBERNETES: [&str; 2] = ["1.27", "1.37"];
const SECRETS: &str = "/run/secrets/hookbus";

async fn helm(arguments: &[&str]) -> Option<Output> {
    let program = tool("helm");
    if !program.exists() {
        missing("helm (run: make tools)");
        return None;
    }
    let mut command = Command::new(program);
    command.args(arguments).current_dir(project());
    Some(output(command, b"").await)
}

/// The value sets that are tried.
fn value_sets() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(project().join(CHART).join("ci")).unwrap();
    let files: Vec<_> = folder.map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 6, "{files:?}");
    files
}

/// What the chart makes of a value set.
async fn render(values: &Path) -> Option<Vec<Value>> {
    let values = values.to_str().unwrap();
    let rendered =
        helm(&["template", "hookbus", CHART, "--namespace", "hookbus", "--values", values]).await?;
    assert_eq!(rendered.code, Some(0), "{values}: {}", rendered.stderr);
    yaml(&rendered.stdout).await
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

#[tokio::test]
async fn kubernetes_would_take_all_that_it_renders() {
    const VALIDATE: &str = "import json, sys, kubernetes_validate\n\
        for object in json.load(sys.stdin):\n    for version in sys.argv[1:]:\n        \
        kubernetes_validate.validate(object, version, strict=True)\n";
    for values in value_sets() {
        let name = values.to_str().unwrap();
        let Some(linted) = helm(&["lint", "--strict", "--quiet", CHART, "--values", name]).await
        else {
            return;
        };
        assert_eq!(linted.code, Some(0), "{linted:?}");
        let Some(mut objects) = render(&values).await else { return };
        // No schema of Kubernetes' own describes them.
        objects.retain(|object| !text(object, "/apiVersion").starts_with("monitoring.coreos.com/"));
        assert!(objects.len() >= 4, "{name}");
        let objects = serde_json::to_vec(&objects).unwrap();
        let Some(valid) = python::code(VALIDATE, &KUBERNETES, &objects).await else { return };
        assert_eq!(valid.code, Some(0), "{name}: {}", valid.stderr);
    }
}

/// Everything that a configuration reads below the folder of secrets, made in a folder of the test.
fn make_secrets(config: &str, folder: &Path, authority: &Authority) {
    let identity = authority.sign("hookbus");
    for rest in config.split(&format!("{SECRETS}/")).skip(1) {
        let end = rest.find(['"', '}']).expect("the end of a path");
        let path = folder.join(&rest[..end]);
        match &rest[..end] {
            "tls.crt" => std::fs::copy(&identity.cert, path).map(drop),
            "tls.key" => std::fs::copy(&identity.key, path).map(drop),
            "ca.crt" => std::fs::copy(authority.cert(), path).map(drop),
            _ => std::fs::write(path, "of-this-test\n"),
        }
        .unwrap();
    }
}

#[tokio::test]
async fn its_configurations_pass_the_check() {
    let Some(authority) = Authority::new("tests") else { return };
    for values in value_sets() {
        let Some(objects) = render(&values).await else { return };
        let config = text(of_kind(&objects, "ConfigMap"), "/data/hookbus.toml");
        let folder = tempfile::tempdir().unwrap();
        make_secrets(config, folder.path(), &authority);
        let file = folder.path().join("hookbus.toml");
        std::fs::write(&file, config.replace(SECRETS, folder.path().to_str().unwrap())).unwrap();
        let mut command: Command = program().into();
        command.arg("check").arg("--config").arg(file);
        let container =
            at(of_kind(&objects, "StatefulSet"), "/spec/template/spec/containers/0").clone();
        for variable in container["env"].as_array().into_iter().flatten() {
            command.env(text(variable, "/name"), "of-this-test");
        }
        let checked = output(command, b"").await;
        assert_eq!(checked.code, Some(0), "{values:?}: {checked:?}\n{config}");
        // The network inside a cluster is its operator's affair, and Kafka alone was chosen.
        let expected =
            ["the token goes over the network", "without `[nats]` no worker can be asked"];
        for warning in checked.stderr.lines().filter(|line| line.contains("warning:")) {
            assert!(expected.iter().any(|text| warning.contains(text)), "{values:?}: {warning}");
        }
    }
}

/// The port of an address in the configuration.
fn port(config: &toml::Table, table: &str) -> u64 {
    let listen = config[table]["listen"].as_str().unwrap();
    listen.rsplit(':').next().unwrap().parse().unwrap()
}

fn seconds(config: &toml::Table, key: &str) -> u64 {
    humantime::parse_duration(config["http"][key].as_str().unwrap()).unwrap().as_secs()
}

#[tokio::test]
async fn its_parts_agree_with_each_other() {
    let mut known = BTreeMap::new();
    for values in value_sets() {
        let Some(objects) = render(&values).await else { return };
        let config = text(of_kind(&objects, "ConfigMap"), "/data/hookbus.toml");
        let config: toml::Table = toml::from_str(config).unwrap();
        let pod = at(of_kind(&objects, "StatefulSet"), "/spec/template/spec");
        let container = at(pod, "/containers/0");
        let arguments: Vec<_> =
            list(container, "/args").iter().map(|word| word.as_str().unwrap()).collect();
        exists(CHART, &arguments, &mut known).await;

        let mounts: BTreeMap<_, _> = list(container, "/volumeMounts")
            .iter()
            .map(|mount| (text(mount, "/name"), text(mount, "/mountPath")))
            .collect();
        assert_eq!(format!("{}/hookbus.toml", mounts["config"]), arguments[2]);
        assert_eq!(mounts.get("secrets").copied().unwrap_or(SECRETS), SECRETS);
        match config["spool"].get("dir") {
            Some(dir) => {
                assert!(dir.as_str().unwrap().starts_with(&format!("{}/", mounts["spool"])))
            }
            None => assert!(!mounts.contains_key("spool"), "{mounts:?}"),
        }

        let ports: BTreeMap<_, _> = list(container, "/ports")
            .iter()
            .map(|port| (text(port, "/name"), at(port, "/containerPort").as_u64().unwrap()))
            .collect();
        assert_eq!(ports["http"], port(&config, "http"));
        assert_eq!(ports["admin"], port(&config, "admin"));
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let http = at(container, &format!("/{probe}/httpGet"));
            assert_eq!(text(http, "/port"), "admin");
            assert!(["/livez", "/readyz"].contains(&text(http, "/path")), "{http}");
            let scheme = http.get("scheme").and_then(Value::as_str).unwrap_or("HTTP");
            assert_eq!(scheme == "HTTPS", config["admin"].get("tls").is_some(), "{values:?}");
        }

        let grace = at(pod, "/terminationGracePeriodSeconds").as_u64().unwrap();
        assert!(grace > seconds(&config, "shutdown_delay") + seconds(&config, "drain"));
        // Noticed before it stops to serve.
        let readiness = at(container, "/readinessProbe");
        let noticed =
            ["periodSeconds", "failureThreshold"].map(|key| readiness[key].as_u64().unwrap());
        assert!(noticed[0] * noticed[1] < seconds(&config, "shutdown_delay"));
    }
}

#[tokio::test]
async fn wrong_values_are_refused() {
    for wrong in [
        "nonsense=1",
        "config=[http]",
        "http.listen=127.0.0.1:1",
        "http.drain=1s",
        "admin.listen=127.0.0.1:1",
        "log.format=xml",
        "spool.maxBytes=10",
        "spool.volume.size=many",
        "drainSeconds=0",
        "replicas=-1",
        "secrets={Not_A_Name}",
        "image.digest=sha256:1",
        "ingress.enabled=true",
        "prometheusRule.docs=here",
    ] {
        let Some(rendered) = helm(&["template", "hookbus", CHART, "--set", wrong]).await else {
            return;
        };
        assert_eq!(rendered.code, Some(1), "{wrong}");
        let key = wrong.split(['.', '=']).next().unwrap();
        assert!(rendered.stderr.contains("values don't meet the specifications"), "{rendered:?}");
        assert!(rendered.stderr.contains(key), "{wrong}: {}", rendered.stderr);
    }
}

#[tokio::test]
async fn its_alerts_are_the_alerts_with_its_own_limits() {
    let values = project().join(CHART).join("ci/production-values.yaml");
    let Some(objects) = render(&values).await else { return };
    let spec = at(of_kind(&objects, "PrometheusRule"), "/spec");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yaml");
    std::fs::write(&file, spec.to_string()).unwrap();
    if promtool(&["check", "rules", file.to_str().unwrap()]).await.is_none() {
        return;
    }
    let Some(alerts) = yaml(&read("deploy/prometheus/alerts.yaml")).await else { return };
    let (rules, alerts) = (list(spec, "/groups/0/rules"), list(&alerts[0], "/groups/0/rules"));
    assert_eq!(rules.len(), alerts.len());
    for (rule, alert) in rules.iter().zip(alerts) {
        let expected = text(alert, "/expr").replace("8192", "16384");
        assert_eq!(text(rule, "/expr"), expected);
        let runbook = text(alert, "/annotations/runbook_url");
        let expected = format!("https://git.example.com/hookbus/blob/main/{runbook}");
        assert_eq!(text(rule, "/annotations/runbook_url"), expected);
    }
    let rendered = project().join(CHART).join("ci/kafka-values.yaml");
    let enabled = ["--set", "prometheusRule.enabled=true"];
    let arguments = ["template", "hookbus", CHART, "--values", rendered.to_str().unwrap()];
    let Some(kafka) = helm(&[&arguments[..], &enabled].concat()).await else { return };
    assert!(kafka.stdout.contains("hookbus_spool_bytes > 0.8 * 40 * 2^30"), "{}", kafka.stdout);
}

#[tokio::test]
async fn the_plain_manifests_are_what_it_renders() {
    if helm(&["version"]).await.is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut script = Command::new(project().join("deploy/tools/manifests.sh"));
    script.arg(folder.path());
    let made = output(script, b"").await;
    assert_eq!(made.code, Some(0), "{made:?}");
    for name in ["hookbus.yaml", "monitoring.yaml"] {
        let made = std::fs::read_to_string(folder.path().join(name)).unwrap();
        let kept = read(&format!("deploy/kubernetes/{name}"));
        assert!(
            made == kept,
            "deploy/kubernetes/{name} is not what the chart renders: make manifests"
        );
    }
}
