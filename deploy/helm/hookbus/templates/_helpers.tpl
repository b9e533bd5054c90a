{{- define "hookbus.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "hookbus.selector" -}}
app.kubernetes.io/name: hookbus
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "hookbus.labels" -}}
{{ include "hookbus.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "hookbus.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "hookbus.name" .) }}
{{- end }}

{{- define "hookbus.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- /* A table of TOML: what JSON writes of texts, numbers and lists is TOML too. Tables come last. */ -}}
{{- define "hookbus.table" -}}
[{{ .name }}]
{{- range $key, $value := .values }}
{{- if not (kindIs "map" $value) }}
{{ $key }} = {{ toRawJson $value }}
{{- end }}
{{- end }}
{{- $name := .name }}
{{- range $key, $value := .values }}
{{- if kindIs "map" $value }}

{{ include "hookbus.table" (dict "name" (printf "%s.%s" $name $key) "values" $value) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "hookbus.config" -}}
{{- $values := .Values }}
{{- $http := merge (dict
  "listen" "0.0.0.0:8080"
  "shutdown_delay" (printf "%ds" (int $values.shutdownDelaySeconds))
  "drain" (printf "%ds" (int $values.drainSeconds))) $values.http }}
{{- $spool := dict "enabled" false }}
{{- if $values.spool.enabled }}
{{- $spool = dict "dir" "/var/lib/hookbus/spool" "max_bytes" $values.spool.maxBytes }}
{{- end }}
{{- include "hookbus.table" (dict "name" "http" "values" $http) }}

{{ include "hookbus.table" (dict "name" "admin" "values" (merge (dict "listen" "0.0.0.0:9180") $values.admin)) }}

{{ include "hookbus.table" (dict "name" "log" "values" $values.log) }}

{{ include "hookbus.table" (dict "name" "spool" "values" $spool) }}

{{ $values.config | trim }}
{{- end }}

{{- /* With a Host that no peer's certificate has to bear: probes of the kubelet don't look at it. */ -}}
{{- define "hookbus.probe" -}}
httpGet:
  path: {{ .path }}
  port: admin
  {{- if .root.Values.admin.tls }}
  scheme: HTTPS
  {{- end }}
{{- end }}
