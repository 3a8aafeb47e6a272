package keepalived

import (
	"strings"
	"testing"

	"lvs-agents/internal/config"
)

// TestExpand compares the lines that keepalived reads with ours. The texts have the forms of the
// manual of keepalived.conf.
func TestExpand(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"values at the time of use", "$BASE=10.2.${SUB}\n$SUB=0\n${BASE}.100/32\n$SUB=10\n${BASE}.100/32", "10.2.0.100/32|10.2.10.100/32"},
		{"without braces", "$P=240\npriority $P\npriority $P x\npriority $Px", "priority 240|priority 240 x|priority $Px"},
		{"undefined", "script \"echo $HOME ${A}\"", "script \"echo $HOME ${A}\""},
		{"condition", "@lb1 $P=240\n@lb2 $P=200\n@^lb2 state MASTER\npriority $P", "state MASTER|priority 240"},
		{"condition in a parameter", "$M=@lb1\n$O=@lb2\n$M priority 1\n$O priority 2", "priority 1"},
		{"several lines", "$I= \\\nvrrp_instance VI_${N} { \\\n  @lb1 priority 1 \\\n  @lb2 priority 2 \\\n}\n$N=0\n$I\n$N=1\n$I", "vrrp_instance VI_0 {|priority 1|}|vrrp_instance VI_1 {|priority 1|}"},
		{"nested lines", "$R= \\\nreal ${N} { \\\n}\n$V= \\\nvs { \\\n$N=1 \\\n$R \\\n$N=2 \\\n$R \\\n}\n$V", "vs {|real 1 {|}|real 2 {|}|}"},
		{"sequence", "~SEQ(S, 0, 2) 10.0.${S}.1", "10.0.0.1|10.0.1.1|10.0.2.1"},
		{"sequence of one number", "~SEQ(S, 2) a ${S}\n~SEQ(T, -2) b ${T}", "a 1|a 2|b -1|b -2"},
		{"sequence down", "~SEQ(S, 3, 1) a ${S}", "a 3|a 2|a 1"},
		{"hexadecimal", "~SEQx(S, 0x90, 0x10, 0xb0) fe80::${S}", "fe80::90|fe80::a0|fe80::b0"},
		{"list", "~LST(IP, 1, 2) ~LST(Q, 5,6) 192.${IP}.${Q}", "192.1.5|192.1.6|192.2.5|192.2.6"},
		{"list of several names", "~LST({IP, Q}, {10,1},{20,4}) 192.${IP}.${Q}", "192.10.1|192.20.4"},
		{"directory", "script ${_PWD}/x", "script /etc/keepalived/x"},
	} {
		p := &parser{config: &config.Config{File: "/etc/keepalived/keepalived.conf"}, node: "lb1"}
		var got []string
		for _, l := range p.expand(tt.text) {
			got = append(got, l.text)
		}
		if text := strings.Join(got, "|"); text != tt.want || len(p.problems.All("")) > 0 {
			t.Errorf("%s: got\n%s\nwant\n%s\n%v", tt.name, text, tt.want, p.problems.All(""))
		}
	}
}

// TestLinesOfADirector checks that each director gets its lines, and that problems have the line of
// the file.
func TestLinesOfADirector(t *testing.T) {
	const text = "$WEIGHT=3\nvirtual_server 192.0.2.10 80 {\nprotocol TCP\n@lb1 lvs_sched rr\n@lb2 lvs_sched wrr\n~LST(N, 1, 2) real_server 192.0.2.2${N} 80 {\nweight $WEIGHT\n}\n}\n"
	c, problems := ParseFor("lb2.example.org", "keepalived.conf", []byte(strings.Replace(text, "~LST(N, 1, 2) real_server 192.0.2.2${N} 80 {", "$N=1\nreal_server 192.0.2.2${N} 80 {", 1)))
	if c == nil {
		t.Fatal(problems)
	}
	if s := c.Services[0]; s.Scheduler != "wrr" || s.Reals[0].Weight != 3 || s.Reals[0].Line != 7 || s.Reals[0].Addr.String() != "192.0.2.21:80" {
		t.Errorf("%+v", s)
	}
}
