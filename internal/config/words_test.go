package config

import (
	"reflect"
	"slices"
	"testing"

	"lvs-agents/internal/lvs"
	"lvs-agents/internal/policy"
)

// TestEachFieldHasAWord checks that a problem can name each setting of a configuration.
func TestEachFieldHasAWord(t *testing.T) {
	ignored := []string{"File", "Services", "Cluster", "Parts", "Service", "Reals", "Checks", "Fallbacks", "Line", "Alert", "Notify", "Policy", "Agent", "Destination"}
	for prefix, kinds := range map[string][]any{
		"": {Config{}, Service{}, lvs.Service{}, Real{}, lvs.Destination{}}, "Check.": {Check{}},
		"Alert.": {Alert{}}, "Notify.": {Notify{}}, "Policy.": {policy.Settings{}}, "Agent.": {Agent{}},
	} {
		for _, kind := range kinds {
			for i := range reflect.TypeOf(kind).NumField() {
				name := reflect.TypeOf(kind).Field(i).Name
				if known := prefix == "" && slices.Contains(ignored, name); fieldWords[prefix+name] == "" && !known {
					t.Errorf("%s%s has no word", prefix, name)
				}
			}
		}
	}
}

// TestLostNamesTheNearestThing checks the replacement of a reaction that a form cannot have.
func TestLostNamesTheNearestThing(t *testing.T) {
	service := func(quiescent bool, down MarkedDown) *Config {
		return &Config{Services: []Service{{Quiescent: quiescent, MarkedDown: down, Service: lvs.Service{ID: lvs.MarkService(1, false)}}}}
	}
	const want = "x cannot have on_marked_down of -f 1; set the sysctl net.ipv4.vs.expire_nodest_conn=1, so that the kernel ends the connections of a removed real server at their next packet"
	for _, tt := range []struct {
		cfg, again *Config
		want       string
	}{
		{service(true, Keep), service(true, ""), ""},
		{service(false, Expire), service(false, ""), want},
		{service(false, Reset), service(false, ""), want},
	} {
		got := ""
		for _, p := range Lost(tt.cfg, tt.again, "x") {
			got += p.String()
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.cfg.Services[0].MarkedDown, got, tt.want)
		}
	}
}
