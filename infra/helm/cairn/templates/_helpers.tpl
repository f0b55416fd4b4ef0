{{- define "cairn.labels" -}}
app.kubernetes.io/name: cairn
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end }}

{{- define "cairn.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* How many processes a role has. */}}
{{- define "cairn.replicas" -}}
{{- $counts := dict "experiments" (.root.Values.replicas.experiments | default (ternary 4 2 (eq .root.Values.profile "large"))) "gateway" (.root.Values.replicas.gateway | default (ternary 4 2 (eq .root.Values.profile "large"))) -}}
{{- get $counts .role | default 1 -}}
{{- end }}

{{/* Where the gateway finds the processes of a role: by their own names, since it balances by itself. */}}
{{- define "cairn.peers" -}}
{{- $name := printf "%s-%s" .root.Release.Name .role -}}
{{- $peers := list -}}
{{- range $at := until (int (include "cairn.replicas" .)) -}}
{{- $peers = append $peers (printf "http://%s-%d.%s:50100" $name $at $name) -}}
{{- end -}}
{{- join "," $peers -}}
{{- end }}
