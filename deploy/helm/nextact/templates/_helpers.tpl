{{- define "nextact.name" -}}
{{- printf "%s" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "nextact.selector" -}}
app.kubernetes.io/name: nextact
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "nextact.labels" -}}
{{ include "nextact.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "nextact.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Mistakes that a schema cannot see */}}
{{- define "nextact.check" -}}
{{- $v := .Values -}}
{{- if not $v.kafka.bootstrapServers }}{{ fail "set kafka.bootstrapServers" }}{{ end -}}
{{- if eq (empty $v.model.claim) (empty $v.model.image) }}{{ fail "set one of model.claim and model.image" }}{{ end -}}
{{- if gt (int $v.replicas) (int $v.partitions) }}
{{- fail (printf "replicas is %d, and no more than the %d partitions can work" (int $v.replicas) (int $v.partitions)) }}
{{- end -}}
{{- if gt (int $v.autoscaling.minReplicas) (min $v.autoscaling.maxReplicas $v.partitions | int) }}
{{- fail "autoscaling.minReplicas is more than autoscaling.maxReplicas or partitions" }}
{{- end -}}
{{- if and (hasPrefix "SASL" $v.kafka.securityProtocol) (not $v.kafka.sasl.secret) }}
{{- fail "kafka.securityProtocol asks for kafka.sasl.secret" }}
{{- end -}}
{{- if and (eq $v.topics.by "strimzi") (not $v.topics.strimzi.cluster) }}
{{- fail "topics.by=strimzi asks for topics.strimzi.cluster" }}
{{- end -}}
{{- end }}

{{/* Of a topic that is there Strimzi would add partitions in place, and users' events would go elsewhere than their rows */}}
{{- define "nextact.checkTopic" -}}
{{- $another := "a release of its own makes others: see More partitions in docs/operations.md" -}}
{{- if ne .there.topicName .name }}
{{- fail (printf "topic %s is there, and %s is asked for in its place: topicPrefix stays as it is, %s" .there.topicName .name $another) }}
{{- end -}}
{{- if ne (int .there.partitions) (int .partitions) }}
{{- fail (printf "topic %s has %d partitions, and %d are asked for: partitions stays as it is, %s" .name (int .there.partitions) (int .partitions) $another) }}
{{- end -}}
{{- end }}

{{- define "nextact.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "nextact.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* What tells any command of ours the broker, the topics and the group */}}
{{- define "nextact.environment" -}}
{{- $k := .Values.kafka -}}
- name: KAFKA_BOOTSTRAP_SERVERS
  value: {{ $k.bootstrapServers | quote }}
- name: KAFKA_SECURITY_PROTOCOL
  value: {{ $k.securityProtocol | quote }}
{{- if hasPrefix "SASL" $k.securityProtocol }}
- name: KAFKA_SASL_MECHANISM
  value: {{ $k.sasl.mechanism | quote }}
- name: KAFKA_SASL_USERNAME
  valueFrom:
    secretKeyRef:
      name: {{ $k.sasl.secret }}
      key: {{ $k.sasl.usernameKey }}
- name: KAFKA_SASL_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $k.sasl.secret }}
      key: {{ $k.sasl.passwordKey }}
{{- end }}
{{- if hasSuffix "SSL" $k.securityProtocol }}
- name: KAFKA_SSL_CHECK_HOSTNAME
  value: {{ $k.tls.checkHostname | quote }}
{{- if $k.tls.caSecret }}
- name: KAFKA_SSL_CAFILE
  value: /etc/nextact/ca/ca.crt
{{- end }}
{{- if $k.tls.clientSecret }}
- name: KAFKA_SSL_CERTFILE
  value: /etc/nextact/client/client.crt
- name: KAFKA_SSL_KEYFILE
  value: /etc/nextact/client/client.key
{{- end }}
{{- end }}
- name: NEXTACT_TOPIC_PREFIX
  value: {{ .Values.topicPrefix | quote }}
- name: NEXTACT_GROUP
  value: {{ .Values.group | quote }}
- name: NEXTACT_PARTITIONS
  value: {{ .Values.partitions | quote }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{- define "nextact.tlsMounts" -}}
{{- if hasSuffix "SSL" .Values.kafka.securityProtocol }}
{{- if .Values.kafka.tls.caSecret }}
- name: ca
  mountPath: /etc/nextact/ca
  readOnly: true
{{- end }}
{{- if .Values.kafka.tls.clientSecret }}
- name: client
  mountPath: /etc/nextact/client
  readOnly: true
{{- end }}
{{- end }}
{{- end }}

{{- define "nextact.tlsVolumes" -}}
{{- $t := .Values.kafka.tls -}}
{{- if hasSuffix "SSL" .Values.kafka.securityProtocol }}
{{- if $t.caSecret }}
- name: ca
  secret:
    secretName: {{ $t.caSecret }}
    items:
      - key: {{ $t.caKey }}
        path: ca.crt
{{- end }}
{{- if $t.clientSecret }}
- name: client
  secret:
    secretName: {{ $t.clientSecret }}
    defaultMode: 0440
    items:
      - key: {{ $t.certKey }}
        path: client.crt
      - key: {{ $t.keyKey }}
        path: client.key
{{- end }}
{{- end }}
{{- end }}
