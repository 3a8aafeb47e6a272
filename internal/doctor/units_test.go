package doctor

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExamineUnits(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"not installed", "Id=ipvsadm.service\nActiveState=inactive\nUnitFileState=\n", ""},
		{"disabled", "Id=ipvsadm.service\nActiveState=inactive\nUnitFileState=disabled\n", ""},
		{"enabled", "Id=ipvsadm.service\nActiveState=inactive\nUnitFileState=enabled\n", "ipvsadm.service is enabled and starts at the next boot"},
		{
			"the second runs", "Id=pulse.service\nActiveState=inactive\nUnitFileState=\n\nUnitFileState=disabled\nActiveState=active\nId=keepalived.service\n",
			"keepalived.service runs, and the cluster does not control it",
		},
		{"no systemd", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, causes(ExamineUnits(tt.text))); diff != "" {
				t.Errorf("causes (-want +got):\n%s", diff)
			}
		})
	}
}
