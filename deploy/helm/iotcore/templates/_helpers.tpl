{{- define "iotcore.labels" -}}
app.kubernetes.io/name: iotcore
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
{{- define "iotcore.selector" -}}
app.kubernetes.io/name: iotcore
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
