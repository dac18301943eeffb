{{- define "provider.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "provider.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* Of objects without a namespace: two releases must not share them. */}}
{{- define "provider.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "provider.fullname" .) }}
{{- end }}

{{- define "provider.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "provider.fullname" .) .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- define "provider.selectorLabels" -}}
app.kubernetes.io/name: {{ include "provider.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "provider.labels" -}}
app.kubernetes.io/name: {{ include "provider.name" . | quote }}
{{ include "provider.releaseLabels" . }}
{{- end }}

{{- /* Of all objects, whichever part of the application they are. */}}
{{- define "provider.releaseLabels" -}}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
cluster.x-k8s.io/provider: infrastructure-remote
{{- end }}

{{- define "provider.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ default (printf "v%s" .Chart.AppVersion) .Values.image.tag }}{{ end }}
{{- end }}

{{- /* Releases must not share it, in another namespace neither. */}}
{{- define "provider.leaderElection" -}}
{{- $own := eq (include "provider.leaseNamespace" .) .Release.Namespace }}
{{- ternary (include "provider.fullname" .) (include "provider.clusterName" .) $own }}-leader-election
{{- end }}

{{- define "provider.leaseName" -}}
{{- default (include "provider.leaderElection" .) .Values.leaderElection.leaseName }}
{{- end }}

{{- define "provider.leaseNamespace" -}}
{{- default .Release.Namespace .Values.leaderElection.namespace }}
{{- end }}

{{- /* Flags, a line each. */}}
{{- define "provider.args" -}}
{{- with .Values.watchNamespaces }}
- --namespace={{ join "," . }}
{{- end }}
{{- with .Values.watchFilter }}
- {{ printf "--watch-filter=%s" . | quote }}
{{- end }}
{{- if .Values.leaderElection.enabled }}
- --leader-elect
- --leader-election-namespace={{ include "provider.leaseNamespace" . }}
- --leader-election-id={{ include "provider.leaseName" . }}
- --leader-elect-lease-duration={{ .Values.leaderElection.leaseDuration }}
- --leader-elect-renew-deadline={{ .Values.leaderElection.renewDeadline }}
- --leader-elect-retry-period={{ .Values.leaderElection.retryPeriod }}
{{- end }}
- --health-addr=:{{ .Values.health.port }}
- --diagnostics-address=:{{ .Values.diagnostics.port }}
{{- if .Values.diagnostics.insecure }}
- --insecure-diagnostics
{{- else if .Values.diagnostics.certificateSecret }}
- --diagnostics-cert-dir=/diagnostics-certificate
{{- end }}
- --concurrency={{ int .Values.concurrency }}
- --bootstrap-timeout={{ .Values.bootstrapTimeout }}
- --cleanup-deadline={{ .Values.cleanupDeadline }}
- --ssh-connect-timeout={{ .Values.ssh.connectTimeout }}
- --max-connections={{ int .Values.ssh.maxConnections }}
- --max-connections-per-host={{ int .Values.ssh.maxConnectionsPerHost }}
- --max-connections-per-bastion={{ int .Values.ssh.maxConnectionsPerBastion }}
{{- if .Values.ssh.legacyAlgorithms }}
- --ssh-legacy-algorithms
{{- end }}
{{- if .Values.logging.runOutput }}
- --log-run-output
{{- end }}
- --logging-format={{ .Values.logging.format }}
- --v={{ int .Values.logging.verbosity }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Of a duration. There is no other function that reads one. */}}
{{- define "provider.milliseconds" -}}
{{- $start := toDate "2006-01-02" "2000-01-01" }}
{{- sub (mustDateModify . $start).UnixMilli $start.UnixMilli }}
{{- end }}

{{- /* What no schema can say, because it is about several values. */}}
{{- define "provider.validate" -}}
{{- if and (gt (int .Values.replicaCount) 1) (not .Values.leaderElection.enabled) }}
{{- fail (printf "replicaCount is %d, but leaderElection.enabled is off: managers that do not elect a leader would disturb each other" (int .Values.replicaCount)) }}
{{- end }}
{{- with .Values.leaderElection }}
{{- $lease := include "provider.milliseconds" .leaseDuration | int64 }}
{{- $renew := include "provider.milliseconds" .renewDeadline | int64 }}
{{- $retry := include "provider.milliseconds" .retryPeriod | int64 }}
{{- if and .enabled (or (le $lease $renew) (le (mul 10 $renew) (mul 12 $retry))) }}
{{- fail (printf "leaderElection: leaseDuration (%s) must be longer than renewDeadline (%s), and that by more than a fifth longer than retryPeriod (%s)" .leaseDuration .renewDeadline .retryPeriod) }}
{{- end }}
{{- end }}
{{- if eq (int .Values.health.port) (int .Values.diagnostics.port) }}
{{- fail (printf "health.port and diagnostics.port are both %d" (int .Values.health.port)) }}
{{- end }}
{{- if and .Values.podDisruptionBudget.enabled (has (toString .Values.podDisruptionBudget.maxUnavailable) (list "0" "0%")) }}
{{- fail (printf "podDisruptionBudget.maxUnavailable is %v: no node with a manager on it could be drained" .Values.podDisruptionBudget.maxUnavailable) }}
{{- end }}
{{- end }}
