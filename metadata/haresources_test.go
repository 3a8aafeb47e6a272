package metadata

import (
	"strings"
	"testing"
)

func TestHaresources(t *testing.T) {
	agent := Agent{Name: "sample", Arguments: []string{"ip", "cidr_netmask", "nic"}, Params: []Param{{Name: "ip"}, {Name: "cidr_netmask"}, {Name: "nic"}, {Name: "arp_count"}}}
	file := Agent{Name: "file", Arguments: []string{"config"}, Params: []Param{{Name: "config"}, {Name: "virtual"}}}
	tests := []struct {
		name  string
		agent Agent
		// line has the arguments after the name of the script, as in the file haresources.
		line string
		want string
		err  string
	}{
		{"nothing", agent, "", "", ""},
		{"an address", agent, "192.0.2.10", "ip=192.0.2.10", ""},
		{"all parts", agent, "192.0.2.10/24/eth0:web", "ip=192.0.2.10 cidr_netmask=24 nic=eth0:web", ""},
		{"a part left out", agent, "192.0.2.10//eth0", "ip=192.0.2.10 cidr_netmask= nic=eth0", ""},
		{"more by name", agent, "192.0.2.10/24::arp_count=3", "ip=192.0.2.10 cidr_netmask=24 arp_count=3", ""},
		{"all by name", agent, "ip=192.0.2.10::nic=eth0", "ip=192.0.2.10 nic=eth0", ""},
		{"IPv6 in its long form", agent, "2001:db8:0:0:0:0:0:10/64/eth0::arp_count=3", "ip=2001:db8:0:0:0:0:0:10 cidr_netmask=64 nic=eth0 arp_count=3", ""},
		{"a path", file, "/etc/ha.d/web.cf", "config=/etc/ha.d/web.cf", ""},
		{"a port", file, "virtual=192.0.2.10:80", "virtual=192.0.2.10:80", ""},
		{"a path with an equals sign", file, "a=b.cf", "config=a=b.cf", ""},
		{"IPv6 in its short form", agent, "2001:db8::10/64/eth0", "", "haresources cannot hold the IPv6 address 2001:db8::10, because heartbeat splits a line at ::; write 2001:db8:0:0:0:0:0:10/64/eth0"},
		{"the same without a prefix", agent, "fe80::1::arp_count=3", "", "haresources cannot hold the IPv6 address fe80::1, because heartbeat splits a line at ::; write fe80:0:0:0:0:0:0:1"},
		{"the same with nothing behind it", agent, "2001:db8::/64", "", "haresources cannot hold the IPv6 address 2001:db8::, because heartbeat splits a line at ::; write 2001:db8:0:0:0:0:0:0/64"},
		{"too many parts", agent, "192.0.2.10/24/eth0/+/1", "", `argument "192.0.2.10/24/eth0/+/1" has too many parts; give ip/cidr_netmask/nic`},
		{"two arguments", file, "web.cf::mail.cf", "", `argument "mail.cf" is not name=value; only the first argument can omit the name: config`},
		{"a misspelt name", agent, "192.0.2.10::arp_cuont=3", "", `unknown parameter arp_cuont; did you mean "arp_count"?`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// args are the arguments. Heartbeat splits a line with sed 's%::% %g'.
			var args []string
			if tt.line != "" {
				args = strings.Fields(strings.ReplaceAll(tt.line, "::", " "))
			}
			environ, err := tt.agent.Haresources(args)
			got, text := strings.ReplaceAll(strings.Join(environ, " "), "OCF_RESKEY_", ""), ""
			if err != nil {
				text = err.Error()
			}
			if got != tt.want || text != tt.err {
				t.Errorf("got %q, error %q\nwant %q, error %q", got, text, tt.want, tt.err)
			}
		})
	}
}
