{{- define "voxyz.name" -}}
{{- if contains "voxyz-reactor" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-voxyz-reactor" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "voxyz.selector" -}}
app.kubernetes.io/name: voxyz-reactor
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "voxyz.labels" -}}
{{ include "voxyz.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "voxyz.image" -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
{{- end -}}

{{/* How long a pod may take to leave: the grace period and what leaving takes after it. */}}
{{- define "voxyz.stopSeconds" -}}
{{- add .Values.graceSeconds 30 -}}
{{- end -}}

{{- define "voxyz.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "voxyz.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Secrets are files; `url` is the key whose file is the address of the database. */}}
{{- define "voxyz.environment" -}}
- {name: DATABASE_URL_FILE, value: {{ printf "/secrets/%s" .url | quote }}}
{{- with .root.Values.secretKeys }}
{{- if .directUrl }}
- {name: DIRECT_URL_FILE, value: {{ printf "/secrets/%s" .directUrl | quote }}}
{{- end }}
{{- if not $.migrating }}
- {name: OPS_API_TOKEN_FILE, value: {{ printf "/secrets/%s" .apiToken | quote }}}
- {name: OPS_READ_TOKEN_FILE, value: {{ printf "/secrets/%s" .readToken | quote }}}
{{- if ne (toString (get $.root.Values.settings "VOXYZ_LLM")) "mock" }}
- {name: ANTHROPIC_API_KEY_FILE, value: {{ printf "/secrets/%s" .anthropicApiKey | quote }}}
{{- end }}
{{- end }}
{{- end }}
- {name: OPS_GRACE_S, value: {{ .root.Values.graceSeconds | quote }}}
{{- range $name, $value := .root.Values.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{- define "voxyz.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
- name: secrets
  secret:
    secretName: {{ .Values.secretName | quote }}
    defaultMode: 0440
{{- end -}}

{{- define "voxyz.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: secrets, mountPath: /secrets, readOnly: true}
{{- end -}}

{{/* A Deployment of processes that run some parts. */}}
{{- define "voxyz.deployment" -}}
{{- $root := .root -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "voxyz.name" $root }}-{{ .component }}
  labels:
    {{- include "voxyz.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  {{- if not .scaled }}
  replicas: {{ .values.replicas }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "voxyz.selector" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  template:
    metadata:
      labels:
        {{- include "voxyz.labels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
      {{- with $root.Values.podAnnotations }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ include "voxyz.name" $root }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ include "voxyz.stopSeconds" $root }}
      securityContext: {{- include "voxyz.podSecurity" $root | nindent 8 }}
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "voxyz.selector" $root | nindent 14 }}
              app.kubernetes.io/component: {{ .component }}
      containers:
        - name: {{ .component }}
          image: {{ include "voxyz.image" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: {{ prepend .values.parts "run" | toJson }}
          env: {{- include "voxyz.environment" (dict "root" $root "url" $root.Values.secretKeys.databaseUrl) | nindent 12 }}
          ports:
            - {name: http, containerPort: 8420}
          startupProbe:
            httpGet: {path: /healthz, port: http}
            periodSeconds: 2
            failureThreshold: 60
          livenessProbe:
            httpGet: {path: /healthz, port: http}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          readinessProbe:
            httpGet: {path: /readyz, port: http}
            periodSeconds: 5
            timeoutSeconds: 5
          securityContext: {{- include "voxyz.containerSecurity" $root | nindent 12 }}
          resources: {{- toYaml .values.resources | nindent 12 }}
          volumeMounts: {{- include "voxyz.mounts" $root | nindent 12 }}
      volumes: {{- include "voxyz.volumes" $root | nindent 8 }}
      {{- with $root.Values.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.affinity }}
      affinity: {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end -}}
