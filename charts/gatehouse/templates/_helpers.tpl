{{- define "gatehouse.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* A release named gatehouse gets objects named gatehouse, as in config/default. */}}
{{- define "gatehouse.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "gatehouse.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "gatehouse.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Objects without a namespace carry the release's name where it could meet another release's. */}}
{{- define "gatehouse.clusterName" -}}
{{- if eq .Release.Namespace "gatehouse-system" -}}
{{- include "gatehouse.fullname" . -}}
{{- else -}}
{{- printf "%s-%s" .Release.Namespace (include "gatehouse.fullname" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "gatehouse.selectorLabels" -}}
app.kubernetes.io/name: {{ include "gatehouse.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "gatehouse.labels" -}}
{{ include "gatehouse.selectorLabels" . }}
app.kubernetes.io/part-of: gatehouse
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "gatehouse.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "gatehouse.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "gatehouse.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Whether the Deployment's number of pods stays when the release no longer has it: it is somebody else's too, or was never the release's. A
Helm that patches, and does not apply on the server, would take it away. */}}
{{- define "gatehouse.scaled" -}}
{{- $applied := false -}}
{{- $ours := false -}}
{{- $theirs := false -}}
{{- range .metadata.managedFields -}}
{{- $replicas := hasKey (dig "f:spec" dict (default dict .fieldsV1)) "f:replicas" -}}
{{- if and (eq .manager "helm") (eq .operation "Apply") -}}
{{- $applied = true -}}
{{- $ours = $replicas -}}
{{- else if $replicas -}}
{{- $theirs = true -}}
{{- end -}}
{{- end -}}
{{- if and $applied (or $theirs (not $ours)) -}}true{{- end -}}
{{- end -}}
