package metrics

// helps has the description of each metric. docs/monitoring.md is written from it.
var helps = map[string]string{
	"lvs_directord_up":                      "1 if the health daemon replies, compares the IPVS table and runs its checks in time, otherwise 0.",
	"lvs_directord_info":                    "Always 1. The labels are the version of the health daemon and its configuration.",
	"lvs_directord_start_time_seconds":      "When the health daemon started, in seconds since 1970.",
	"lvs_directord_reconcile_age_seconds":   "Seconds since the daemon last compared the IPVS table and corrected it without an error.",
	"lvs_directord_check_age_seconds":       "Seconds since the daemon last started the checks that were due.",
	"lvs_directord_age_limit_seconds":       "If one of the two ages is above this limit, the daemon hangs or cannot write the table.",
	"lvs_directord_trouble":                 "1 if the daemon cannot write the table, has refused a configuration, or cannot send checks, otherwise 0.",
	"lvs_service_real_servers":              "Real servers of a virtual service by verdict: good, bad or unknown.",
	"lvs_service_serving_real_servers":      "Real servers of a virtual service that get new connections.",
	"lvs_service_weight":                    "Sum of the weights that the daemon wants in the kernel.",
	"lvs_service_configured_weight":         "Sum of the configured weights.",
	"lvs_service_fallback_active":           "1 if the fallback of a virtual service serves, otherwise 0.",
	"lvs_service_trouble":                   "1 if the kernel can have other weights than the daemon wants, otherwise 0.",
	"lvs_server_up":                         "1 if the checks of a real server succeed, 0 if they fail. Missing before the first verdict.",
	"lvs_server_weight":                     "Weight that the daemon wants in the kernel, or -1 if the table must not have the real server.",
	"lvs_server_configured_weight":          "Configured weight of a real server.",
	"lvs_server_verdict_start_time_seconds": "When the present verdict began, in seconds since 1970.",

	"node_ipvs_connections_total":            "Connections that IPVS has scheduled (/proc/net/ip_vs_stats).",
	"node_ipvs_incoming_packets_total":       "Packets from clients.",
	"node_ipvs_outgoing_packets_total":       "Packets to clients. With direct routing and tunnels, they do not pass the director.",
	"node_ipvs_incoming_bytes_total":         "Bytes from clients.",
	"node_ipvs_outgoing_bytes_total":         "Bytes to clients. With direct routing and tunnels, they do not pass the director.",
	"node_ipvs_backend_connections_active":   "Established connections of a real server (/proc/net/ip_vs).",
	"node_ipvs_backend_connections_inactive": "Other connections of a real server.",
	"node_ipvs_backend_weight":               "Weight of a real server in the kernel.",
}
