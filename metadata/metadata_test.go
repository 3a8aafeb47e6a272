package metadata

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

type sample struct {
	ip    netip.Addr
	port  int
	quiet bool
	sched string
	text  string
}

func (s *sample) declare() Agent {
	return Agent{Name: "sample", Short: "Sample", Long: "One & two <three>.\n\n.Next - paragraph \\ here.", Params: []Param{
		{Name: "ip", Value: Address(&s.ip), Required: true, UniqueGroup: "address", Short: "IP", Long: "The IP."},
		{Name: "port", Value: Integer(&s.port, 1, 65535), UniqueGroup: "address", Short: "Port", Long: "The port."},
		{Name: "quiet", Value: Boolean(&s.quiet), Reloadable: true, Short: "Quiet", Long: "Quiet."},
		{Name: "sched", Value: Select(&s.sched, "rr", "wlc"), Short: "Scheduler", Long: "The scheduler."},
		{Name: "text", Alias: "words", Value: String(&s.text), Short: "Text", Long: "Some text."},
	}, Actions: []Action{{Name: "monitor", Timeout: 20e9, Interval: 10e9}, {Name: "stop", Timeout: 90e9}},
		Examples: []Example{{"One", "s1", [][2]string{{"ip", "192.0.2.10"}, {"text", "a b"}}}}}
}

func TestLoad(t *testing.T) {
	const ip = "OCF_RESKEY_ip=192.0.2.10"
	tests := []struct {
		name    string
		environ []string
		want    sample
		errs    string
	}{
		{"defaults", []string{ip}, sample{ip: netip.MustParseAddr("192.0.2.10"), port: 80}, ""},
		{"everything", []string{ip, "OCF_RESKEY_port=443", "OCF_RESKEY_quiet=ja", "OCF_RESKEY_sched=rr", "OCF_RESKEY_text=a=b"},
			sample{netip.MustParseAddr("192.0.2.10"), 443, true, "rr", "a=b"}, ""},
		{"an empty value is none", []string{ip, "OCF_RESKEY_port=", "OCF_RESKEY_quiet="}, sample{ip: netip.MustParseAddr("192.0.2.10"), port: 80}, ""},
		{"another name", []string{ip, "OCF_RESKEY_words=a"}, sample{ip: netip.MustParseAddr("192.0.2.10"), port: 80, text: "a"}, ""},
		{"its own name goes first", []string{ip, "OCF_RESKEY_words=a", "OCF_RESKEY_text=b", "OCF_RESKEY_=c"},
			sample{ip: netip.MustParseAddr("192.0.2.10"), port: 80, text: "b"}, ""},
		{"mapped IPv4", []string{"OCF_RESKEY_ip=::ffff:192.0.2.10"}, sample{ip: netip.MustParseAddr("192.0.2.10"), port: 80}, ""},
		{"missing", nil, sample{port: 80}, "parameter ip is required"},
		{"all errors at once", []string{"OCF_RESKEY_ip=192.0.2", "OCF_RESKEY_port=0", "OCF_RESKEY_quiet=maybe", "OCF_RESKEY_sched=wcl"}, sample{port: 80},
			`parameter ip="192.0.2": not an IPv4 or IPv6 address
parameter port="0": not a whole number from 1 to 65535
parameter quiet="maybe": neither true nor false
parameter sched="wcl": unknown; did you mean "wlc"? (one of rr, wlc)`},
		{"zones and unspecified addresses", []string{"OCF_RESKEY_ip=fe80::1%eth0"}, sample{port: 80},
			`parameter ip="fe80::1%eth0": not an IPv4 or IPv6 address`},
		{"unspecified", []string{"OCF_RESKEY_ip=0.0.0.0"}, sample{port: 80}, `parameter ip="0.0.0.0": not an IPv4 or IPv6 address`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := sample{port: 80}
			var errs []error
			for _, err := range got.declare().Load(tt.environ) {
				errs = append(errs, err)
			}
			text := ""
			if err := errors.Join(errs...); err != nil {
				text = err.Error()
			}
			if got != tt.want || text != tt.errs {
				t.Errorf("got %+v, errors\n%s\nwant %+v, errors\n%s", got, text, tt.want, tt.errs)
			}
		})
	}
}

func TestManEscapesWhatRoffWouldInterpret(t *testing.T) {
	page := (&sample{port: 80}).declare().Man()
	for _, want := range []string{"One & two <three>.\n.PP\n\\&.Next \\- paragraph \\e here.", ".TP\n.B port\nPort (integer, unique in the cluster, default 80).\nThe port."} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}

func TestExamplesAreCommands(t *testing.T) {
	page := (&sample{port: 80}).declare().Markdown()
	for _, want := range []string{`crm configure primitive s1 ocf:lvs:sample \
    params ip=192.0.2.10 text="a b" \
    op monitor timeout=20s interval=10s \
    op stop timeout=90s interval=0`, `pcs resource create s1 ocf:lvs:sample \
    ip=192.0.2.10 text="a b" \
    op monitor timeout=20s interval=10s`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}
