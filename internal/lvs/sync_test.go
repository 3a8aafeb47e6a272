package lvs

import (
	"net/netip"
	"testing"
)

func TestSyncDaemonIsWrittenAsIpvsadmTakesIt(t *testing.T) {
	for text, want := range map[string]SyncDaemon{
		"master --mcast-interface eth1 --syncid 7": {Role: SyncMaster, Interface: "eth1", ID: 7},
		"backup --mcast-interface eth1 --syncid 255 --sync-maxlen 1400 --mcast-group ff05::81 --mcast-port 9000 --mcast-ttl 2": {
			Role: SyncBackup, Interface: "eth1", ID: 255, MaxLen: 1400, Group: netip.MustParseAddr("ff05::81"), Port: 9000, TTL: 2},
	} {
		got, err := ParseSyncDaemon(text)
		if err != nil || !got.Equal(want) || got.String() != text || want.String() != text {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
}

func TestSyncDaemonErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                         `synchronisation daemon "": not a role with options and their values`,
		"both --syncid 1":          `synchronisation daemon "both --syncid 1": the role is not master or backup`,
		"master --syncid 1":        `synchronisation daemon "master --syncid 1": no --mcast-interface`,
		"master --syncid 256":      `synchronisation daemon "master --syncid 256": --syncid 256: not a number of 8 bits`,
		"master --mcast-group x":   `synchronisation daemon "master --mcast-group x": ParseAddr("x"): unable to parse IP`,
		"backup --mcast-bandwidth": `synchronisation daemon "backup --mcast-bandwidth": not a role with options and their values`,
		"backup --quick yes":       `synchronisation daemon "backup --quick yes": unknown option --quick`,
	} {
		if _, err := ParseSyncDaemon(text); err == nil || err.Error() != want {
			t.Errorf("%q\ngot  %v\nwant %s", text, err, want)
		}
	}
}

func TestSyncDaemonEqual(t *testing.T) {
	want := SyncDaemon{Role: SyncMaster, Interface: "eth1", ID: 7}
	have := SyncDaemon{Role: SyncMaster, Interface: "eth1", ID: 7, Group: SyncGroup, Port: 8848, TTL: 1, MaxLen: 1472}
	if !want.Equal(have) {
		t.Error("the kernel's own values make a difference")
	}
	want.MaxLen = 1000
	if want.Equal(have) {
		t.Error("another length makes no difference")
	}
	have.MaxLen, have.ID = 1000, 8
	if want.Equal(have) {
		t.Error("another id makes no difference")
	}
}
