package doctor

import "testing"

func TestExamineMarkedDown(t *testing.T) {
	const set = "sysctl -w net.ipv4.vs.expire_nodest_conn=1"
	web, mail := Ending{Service: "-t 192.0.2.10:80", Value: "reset"}, Ending{Service: "-t 192.0.2.10:25", Value: "expire", Resource: "mail-ipvs"}
	for _, tt := range []struct {
		name, expire string
		ending       []Ending
		want         Finding
	}{
		{"a file", "0", []Ending{web}, Finding{
			"clients of a failed real server of -t 192.0.2.10:80 get no answer and no error",
			"on_marked_down is reset, and net.ipv4.vs.expire_nodest_conn is 0", set,
		}},
		{"two services, one of a resource", "0", []Ending{mail, web}, Finding{
			"clients of a failed real server of 2 services, for example -t 192.0.2.10:25, get no answer and no error",
			"on_marked_down is expire, and net.ipv4.vs.expire_nodest_conn is 0",
			set + "; crm_resource --resource=mail-ipvs --set-parameter=expire_nodest_conn --parameter-value=yes",
		}},
		{"two services of a resource", "0", []Ending{mail, mail}, Finding{
			"clients of a failed real server of 2 services, for example -t 192.0.2.10:25, get no answer and no error",
			"on_marked_down is expire, and net.ipv4.vs.expire_nodest_conn is 0",
			set + "; crm_resource --resource=mail-ipvs --set-parameter=expire_nodest_conn --parameter-value=yes",
		}},
		{"the kernel ends them", "1", []Ending{web}, Finding{}},
		{"no such service", "0", nil, Finding{}},
		{"a kernel without the sysctl", "", []Ending{web}, Finding{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found := ExamineMarkedDown(tt.expire, tt.ending)
			if tt.want == (Finding{}) && len(found) == 0 {
				return
			}
			if len(found) != 1 || found[0] != tt.want {
				t.Errorf("got  %v\nwant %v", found, tt.want)
			}
		})
	}
}
