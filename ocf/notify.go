package ocf

import (
	"context"
	"strings"
)

// Notifier is an agent whose clone gets notifications (meta attribute notify=true). Its metadata
// must have the action notify. The cluster waits until Notify returns, and it ignores the error.
type Notifier interface {
	Notify(context.Context, Call, Notification) error
}

// Notification says which action the cluster runs on instances of a clone. Every instance that runs
// gets it, on every node.
type Notification struct {
	Type      string // Type is pre (before the action) or post (after the action).
	Operation string // Operation is start, stop, promote or demote.
	Node      string // Node is the name of this node.
	// Starting has the names of the nodes where an instance starts or has started.
	Starting []string
	// Stopping has the names of the nodes where an instance stops or has stopped.
	Stopping []string
	Active   []string // Active has the names of the nodes where an instance ran before the action.
}

// notification returns the notification in the environment of the action notify.
func (e environment) notification() Notification {
	const meta = "OCF_RESKEY_CRM_meta_"
	nodes := func(name string) []string { return strings.Fields(e[meta+"notify_"+name+"_uname"]) }
	return Notification{
		Type: e[meta+"notify_type"], Operation: e[meta+"notify_operation"], Node: e[meta+"on_node"],
		Starting: nodes("start"), Stopping: nodes("stop"), Active: nodes("active"),
	}
}

func (s *session) notify(ctx context.Context) Code {
	if err := s.agent.(Notifier).Notify(ctx, s.call, s.env.notification()); err != nil {
		return s.fail(err)
	}
	return Success
}
