package host

import (
	"net/netip"
	"testing"
)

func TestAddressOpIsAnIPCommand(t *testing.T) {
	vip := Address{Prefix: netip.MustParsePrefix("192.0.2.10/24"), NIC: "eth0", Broadcast: netip.MustParseAddr("192.0.2.255"), Label: "eth0:1"}
	v6 := Address{Prefix: netip.MustParsePrefix("2001:db8::10/64"), NIC: "eth0", Deprecated: true}
	young := v6
	young.Deprecated, young.Preferred, young.NoDAD, young.NoPrefixRoute = false, 30, true, true
	ever := v6
	ever.Deprecated = false
	for want, op := range map[string]AddressOp{
		"ip addr add 192.0.2.10/24 brd 192.0.2.255 dev eth0 label eth0:1":           {Verb: AddAddress, Address: vip},
		"ip addr del 192.0.2.10/24 dev eth0":                                        {Verb: DeleteAddress, Address: vip},
		"ip addr add 2001:db8::10/64 dev eth0 preferred_lft 0":                      {Verb: AddAddress, Address: v6},
		"ip addr add 2001:db8::10/64 dev eth0 preferred_lft 30 nodad noprefixroute": {Verb: AddAddress, Address: young},
		"ip addr change 2001:db8::10/64 dev eth0 preferred_lft 0":                   {Verb: ChangeAddress, Address: v6},
		"ip addr change 2001:db8::10/64 dev eth0 preferred_lft 30":                  {Verb: ChangeAddress, Address: young},
		"ip addr change 2001:db8::10/64 dev eth0 preferred_lft forever":             {Verb: ChangeAddress, Address: ever},
		"ip link set dev eth0 up":                                                   {Verb: RaiseLink, Address: vip},
		"ip link set dev eth0 down":                                                 {Verb: LowerLink, Address: vip},
		"ip addrlabel add prefix 2001:db8::10/128 label 99":                         {Verb: AddPolicy, Address: v6, Policy: 99},
		"ip addrlabel del prefix 2001:db8::10/128 label 99":                         {Verb: DeletePolicy, Address: v6, Policy: 99},
		"ip route flush cache":                                                      {Verb: FlushRoutes, Address: vip},
		"ip -6 route flush cache":                                                   {Verb: FlushRoutes, Address: v6},
		"address operation 0 192.0.2.10/24 dev eth0":                                {Address: vip},
	} {
		if got := op.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestParseAddressReadsWhatStringWrote(t *testing.T) {
	for _, text := range []string{
		"192.0.2.10/24 dev eth0",
		"192.0.2.10/32 brd 192.0.2.10 dev lo label lo:vip scope host",
		"2001:db8::10/128 dev lo preferred_lft 0 nodad noprefixroute",
		"2001:db8::10/128 dev lo preferred_lft 30",
	} {
		if a, err := ParseAddress(text); err != nil || a.String() != text {
			t.Errorf("%s: got %s, %v", text, a, err)
		}
	}
	for text, want := range map[string]string{
		"":                               `address "": empty text`,
		"192.0.2.10 dev lo":              `address "192.0.2.10 dev lo": netip.ParsePrefix("192.0.2.10"): no '/'`,
		"192.0.2.10/32":                  `address "192.0.2.10/32": no dev`,
		"192.0.2.10/32 dev":              `address "192.0.2.10/32 dev": "dev" has no value`,
		"192.0.2.10/32 dev lo metric 5":  `address "192.0.2.10/32 dev lo metric 5": unknown option "metric"`,
		"192.0.2.10/32 dev lo brd 300.1": `address "192.0.2.10/32 dev lo brd 300.1": ParseAddr("300.1"): IPv4 field has value >255`,
	} {
		if _, err := ParseAddress(text); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("192.0.2.10/24 brd 192.0.2.255 dev eth0 label eth0:1 scope site preferred_lft 0 nodad noprefixroute")
	f.Add("2001:db8::10/64 dev eth0 preferred_lft 60")
	f.Fuzz(func(t *testing.T, text string) {
		address, err := ParseAddress(text)
		if err != nil {
			return
		}
		again, err := ParseAddress(address.String())
		if err != nil || again.String() != address.String() {
			t.Errorf("%q became %q, then %q: %v", text, address, again, err)
		}
	})
}
