#!/usr/bin/env bash
# Writes the Helm chart with its default values to deploy/kubernetes, for those without Helm: `manifests.sh [FOLDER]`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
folder=${1:-deploy/kubernetes}
chart=deploy/helm/hookbus

# Helm says on standard error that it follows the link to the alerts.
render() {
    .tools/helm template hookbus "$chart" --namespace hookbus "$@" 2>/dev/null
}

render >"$folder/hookbus.yaml"
monitoring=(--set "serviceMonitor.enabled=true,prometheusRule.enabled=true")
render "${monitoring[@]}" --show-only templates/servicemonitor.yaml --show-only templates/prometheusrule.yaml \
    >"$folder/monitoring.yaml"
