{{/* What all pods are: no root, no token, spread over nodes: (list $ "gateway" user). */}}
{{- define "pellucid.pod" -}}
{{- $root := index . 0 -}}
{{- $values := index $root.Values (index . 1) -}}
serviceAccountName: {{ include "pellucid.name" $root }}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ index . 2 }}
  runAsGroup: {{ index . 2 }}
  fsGroup: {{ index . 2 }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "pellucid.selector" (list $root (index . 1)) | nindent 8 }}
{{- with $values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "pellucid.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* What small containers that run once are given. */}}
{{- define "pellucid.onceResources" -}}
requests: { cpu: 100m, memory: 256Mi }
limits: { cpu: "1", memory: 512Mi }
{{- end }}

{{/* Where the gateway finds the repository. */}}
{{- define "pellucid.repository" -}}
{{ .Values.repository.gateway | default "/models" }}
{{- end }}

{{- define "pellucid.credentials" -}}
{{- with .Values.repository.credentialsSecret }}
envFrom:
  - secretRef: { name: {{ . }} }
{{- end }}
{{- end }}

{{- define "pellucid.modelMounts" -}}
{{- if not .Values.repository.triton }}
- { name: models, mountPath: /models, readOnly: true }
{{- end }}
{{- if .Values.repository.manifestKeySecret }}
- { name: manifest-key, mountPath: /run/manifest, readOnly: true }
{{- end }}
{{- end }}

{{- define "pellucid.modelVolumes" -}}
{{- if not .Values.repository.triton }}
- name: models
  persistentVolumeClaim: { claimName: {{ .Values.repository.claim }}, readOnly: true }
{{- end }}
{{- with .Values.repository.manifestKeySecret }}
- name: manifest-key
  secret: { secretName: {{ . }} }
{{- end }}
{{- end }}
