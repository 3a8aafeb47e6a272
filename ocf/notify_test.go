package ocf

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// notified is a thing that also has the method Notify.
type notified struct {
	thing
	got Notification
	err error
}

func (a *notified) Notify(_ context.Context, _ Call, n Notification) error {
	a.got = n
	return a.err
}

func TestNotificationOfACluster(t *testing.T) {
	agent := &notified{}
	const meta = "OCF_RESKEY_CRM_meta_"
	got := run(agent, "notify", ip, meta+"notify_type=post", meta+"notify_operation=start", meta+"on_node=director1",
		meta+"notify_start_uname=director2 director3", meta+"notify_stop_uname= ", meta+"notify_active_uname=director1")
	want := Notification{Type: "post", Operation: "start", Node: "director1", Starting: []string{"director2", "director3"}, Stopping: []string{}, Active: []string{"director1"}}
	if got != (result{}) || !reflect.DeepEqual(agent.got, want) {
		t.Errorf("%+v\ngot  %+v\nwant %+v", got, agent.got, want)
	}
}

func TestNotificationsThatFail(t *testing.T) {
	for _, tt := range []struct {
		name   string
		agent  Agent
		root   bool
		code   Code
		stderr string
	}{
		{"without the method", &thing{}, true, Unimplemented, `action "notify" does not exist`},
		{"by the agent", &notified{err: errors.New("no peer")}, true, Generic, "no peer"},
		{"without root", &notified{}, false, Permission, "notify needs root"},
	} {
		got := runAs(tt.agent, tt.root, "notify", ip)
		if got.code != tt.code || !strings.HasSuffix(got.stderr, "ocf-exit-reason:"+tt.stderr+"\n") {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}
