{{- define "posstream.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end }}
{{- end }}

{{- define "posstream.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "posstream.labels" -}}
{{ include "posstream.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "posstream.port" -}}
{{ .Values.settings.POSSTREAM_WEB_PORT | default "8000" }}
{{- end }}

{{- /* Settings as environment: plain ones, and for each secret the file where it is mounted. */}}
{{- define "posstream.environment" -}}
{{- $given := .Values.settings }}
{{- $ours := dict "POSSTREAM_DATADIR" "/data/worker" "POSSTREAM_WEB_HOST" "0.0.0.0" }}
{{- if .Values.projection.enabled }}
{{- $_ := set $ours "POSSTREAM_PROJECTION" "alone" }}
{{- end }}
{{- range $name, $value := mergeOverwrite $ours $given }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- range $name, $key := .Values.secrets.settings }}
- name: {{ $name }}_FILE
  value: /run/posstream/{{ $key }}
{{- end }}
{{- range $name, $value := .Values.tracing.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- /* OpenTelemetry reads no secret from a file. */}}
{{- with .Values.tracing.headersKey }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom:
    secretKeyRef:
      name: {{ $.Values.secrets.name }}
      key: {{ . }}
{{- end }}
{{- end }}

{{- /* What workers and projections share of their pods. */}}
{{- define "posstream.pod" -}}
# Variables such as POSSTREAM_PORT, for a Service of that name, would be taken for settings.
enableServiceLinks: false
automountServiceAccountToken: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  # "Always" would give the group back its rights to every file, at each start.
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "posstream.container" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
env: {{ include "posstream.environment" . | trim | nindent 2 }}
volumeMounts:
  - name: data
    mountPath: /data
  - name: tmp
    mountPath: /tmp
  - name: secrets
    mountPath: /run/posstream
    readOnly: true
  {{- if .Values.certificates.secretName }}
  - name: certificates
    mountPath: /run/certificates
    readOnly: true
  {{- end }}
{{- end }}

{{- define "posstream.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
- name: secrets
  secret:
    secretName: {{ .Values.secrets.name }}
    defaultMode: 0440
    items:
      {{- range $key := values .Values.secrets.settings | uniq | sortAlpha }}
      - key: {{ $key }}
        path: {{ $key }}
      {{- end }}
{{- with .Values.certificates.secretName }}
- name: certificates
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end }}
