package directord

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/attribute"
	"lvs-agents/internal/control"
	"lvs-agents/internal/state"
)

// ordersFile returns the path of the file with the orders of operators. After a reboot, the file
// does not exist.
func (s *server) ordersFile() string {
	return filepath.Join(state.DaemonDir(s.stateDir), state.SocketName(s.id)+".orders")
}

// orders returns the stored orders, with the present orders of the cluster. If it cannot read the
// file, the daemon starts without the stored orders.
func (s *server) orders(ctx context.Context) []control.Command {
	var orders []control.Command
	text, err := state.Read(s.ordersFile())
	if err == nil {
		err = json.Unmarshal([]byte(text), &orders)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Errorf("the orders of operators in %s do not count: %v; give them again", s.ordersFile(), err)
		orders = nil
	}
	limited, cancel := context.WithTimeout(ctx, followPeriod)
	defer cancel()
	cluster, err := s.follower.read(limited)
	if err != nil {
		return orders // Without the cluster, its last orders stay.
	}
	orders = slices.DeleteFunc(orders, func(c control.Command) bool { return c.Order.Cluster })
	return append(orders, cluster...)
}

func (s *server) saveOrders(orders []control.Command) error {
	text, err := json.Marshal(orders)
	if err != nil {
		return err
	}
	return state.Write(s.ordersFile(), string(text)+"\n")
}

// follower reads the orders that operators gave to this node through the cluster. lvsctl --on keeps
// them in permanent attributes of the node.
type follower struct {
	node clusterNode // node is nil for a daemon outside of a cluster.
	log  logrus.FieldLogger

	name string // name is the name of this node. It is empty before the first read.
	// warned says that the last read failed and that the failure was logged.
	warned bool
	unread string // unread has the attributes that the last read could not read. They were logged.
}

// clusterNode reads permanent attributes of the nodes of a cluster.
type clusterNode interface {
	Name(ctx context.Context) (string, error)
	Kept(ctx context.Context, prefix string) (map[string]map[string]string, error)
}

// followPeriod is the time between two reads of the cluster's orders.
const followPeriod = 5 * time.Second

// run calls obey with the orders of the cluster, after the first read and after each change.
func (f *follower) run(ctx context.Context, obey func(context.Context, []control.Command) error) {
	if f.node == nil {
		return
	}
	ticker := time.NewTicker(followPeriod)
	defer ticker.Stop()
	last := "unread"
	for {
		commands, err := f.read(ctx)
		if text := wordsOf(commands); err == nil && text != last && obey(ctx, commands) == nil {
			last = text
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func wordsOf(commands []control.Command) string {
	var all []string
	for _, c := range commands {
		all = append(all, c.Words())
	}
	return strings.Join(all, "\n")
}

var errOutside = errors.New("the daemon is not in a cluster")

// read returns the orders of the cluster for this node.
func (f *follower) read(ctx context.Context) ([]control.Command, error) {
	if f.node == nil {
		return nil, errOutside
	}
	var err error
	if f.name == "" {
		f.name, err = f.node.Name(ctx)
	}
	var kept map[string]map[string]string
	if err == nil {
		kept, err = f.node.Kept(ctx, control.OrderAttribute)
	}
	if err != nil {
		if !f.warned && ctx.Err() == nil && !errors.Is(err, attribute.ErrNoCluster) {
			f.log.Warnf("reading the orders of the cluster: %v", err)
		}
		f.warned = true
		return nil, err
	}
	f.warned = false
	return f.parsed(kept[f.name]), nil
}

// parsed returns the orders in attributes, sorted by their begin.
func (f *follower) parsed(kept map[string]string) (commands []control.Command) {
	var unread error
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		c, err := control.ParseWords(kept[name])
		if err != nil {
			unread = errors.Join(unread, fmt.Errorf("node attribute %s: %w; remove it: crm_attribute -N %s -n %[1]s -D", name, err, f.name))
			continue
		}
		commands = append(commands, c)
	}
	text := ""
	if unread != nil {
		text = unread.Error()
	}
	if text != "" && text != f.unread {
		f.log.Error(text)
	}
	f.unread = text
	slices.SortStableFunc(commands, func(a, b control.Command) int { return a.Order.Since.Compare(b.Order.Since) })
	return commands
}
