package doctor

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChecks(t *testing.T) {
	const start = `<cib><configuration><resources>
<clone id="cl"><group id="g"><primitive id="web" provider="lvs" type="health"><instance_attributes><nvpair name="config" value="web.cf"/></instance_attributes></primitive></group></clone>
<primitive id="mail" provider="lvs" type="health"><instance_attributes><nvpair name="ipvs" value="mail-ipvs"/><nvpair name="attribute" value="good"/></instance_attributes></primitive>
<primitive id="dns" provider="lvs" type="health"><instance_attributes><nvpair name="config" value="/etc/dns.cf"/><nvpair name="attribute" value="none"/></instance_attributes></primitive>
<primitive id="other" provider="lvs" type="ipvs"/></resources><constraints>`
	web, mail := Checks{"web", "web.cf", "lvs-health-web"}, Checks{"mail", "", "good"}
	for _, tt := range []struct {
		name, constraint string
		want             []Checks
	}{
		{"no constraint", "", []Checks{mail, web}},
		{"the clone is barred here", `<rsc_location rsc="cl" node="director2" score="-INFINITY"/>`, []Checks{mail}},
		{"the group is barred here", `<rsc_location rsc="g" node="director2" score="-INFINITY"/>`, []Checks{mail}},
		{"barred on the other node", `<rsc_location rsc="cl" node="director1" score="-INFINITY"/>`, []Checks{mail, web}},
		{"less wanted here", `<rsc_location rsc="web" node="director2" score="-100"/>`, []Checks{mail, web}},
		{"only on the other node", `<rsc_location rsc="mail" node="director1" score="INFINITY" resource-discovery="exclusive"/>`, []Checks{web}},
		{"only on both nodes", `<rsc_location rsc="mail" node="director1" score="9" resource-discovery="exclusive"/><rsc_location rsc="mail" node="director2" score="1" resource-discovery="exclusive"/>`, []Checks{mail, web}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := Facts{Node: "director2"}
			readCIB(t, &f, start+tt.constraint+"</constraints></configuration></cib>")
			if diff := cmp.Diff(tt.want, f.Checks()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
