package lab

import (
	"context"
	_ "embed"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

//go:embed node.sh
var nodeScript string

//go:embed systemctl.sh
var systemctlScript string

// corosyncConf is the corosync.conf of every node. Its token time is half of the default of 3 s, so
// that the cluster detects a killed node sooner.
const corosyncConf = `totem {
	version: 2
	cluster_name: lab
	transport: udpu
	crypto_cipher: none
	crypto_hash: none
	token: 1500
}
quorum {
	provider: corosync_votequorum
	two_node: 1
	wait_for_all: 0
}
logging {
	to_stderr: no
	to_syslog: no
	to_logfile: yes
	logfile: /var/log/corosync/corosync.log
	timestamp: hires
}
nodelist {
%s}
`

// Options are the options of StartCluster. The zero value is a cluster without our agents.
type Options struct {
	// Agents is a directory that every node sees as /usr/lib/ocf/resource.d/lvs.
	Agents string
	// Root is the directory that "make install DESTDIR=Root" has written. Its /etc, /usr/sbin,
	// /usr/lib/ocf, /usr/lib/systemd/system and /usr/share/doc are mounted over the directories of
	// the test host on every node. If Root is "", the nodes do not see this directory.
	Root string
}

// Cluster is a Pacemaker cluster of two nodes: director1 and director2 of the topology. Fencing is
// off.
type Cluster struct {
	nodes
}

// Node is a host of the topology that runs like a machine: it has its own host name, processes and
// directories, and a test can boot and kill it. Shell runs commands in the running node. Each node
// has its own copy of the directories that node.sh mounts, for example /run, /etc, /usr/sbin and
// /var/log. It shares all other files, /tmp too, with the test host.
type Node struct {
	Shell

	Host *Host

	dir, root string
	manager   string // the argument MANAGER of node.sh: pacemaker, heartbeat, none or systemd
	cgroup    string // the argument CGROUP of node.sh, or "" without systemd
	init      *Process
}

// StartCluster boots director1 and director2 as cluster nodes, and waits until both are online and
// the cluster is idle. If the test fails, StartCluster prints the logs of both nodes. The test also
// fails if Pacemaker logs that something is deprecated.
func StartCluster(tb testing.TB, topology *Topology, options Options) *Cluster {
	tb.Helper()
	c := &Cluster{nodes: newNodes(tb, topology, options, "pacemaker", "director1", "director2")}
	tb.Cleanup(func() { c.end(tb) })
	for _, node := range c.nodes {
		node.boot(tb)
	}
	c.WaitOnline(tb, "director1", "director2")
	c.WaitIdle(tb)
	return c
}

// newNodes creates the named nodes, but does not boot them. Their disks are directories on a tmpfs.
func newNodes(tb testing.TB, topology *Topology, options Options, manager string, names ...string) nodes {
	tb.Helper()
	dir := tb.TempDir()
	if err := syscall.Mount("lab", dir, "tmpfs", 0, "mode=755"); err != nil {
		tb.Fatalf("mount a tmpfs for the nodes: %v", err)
	}
	tb.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	var list nodes
	for _, name := range names {
		node := &Node{
			Shell: Shell{Name: name}, Host: topology.Host(name),
			dir: filepath.Join(dir, name), root: options.Root, manager: manager,
		}
		if err := node.write(topology, options); err != nil {
			tb.Fatal(err)
		}
		if manager != "systemd" {
			node.place(tb, "usr/sbin/systemctl", systemctlScript, 0o755)
		}
		list = append(list, node)
	}
	return list
}

// nodes are the nodes of one test, in the order of their creation.
type nodes []*Node

// Node returns the node with this name. It panics if the test has no such node.
func (n nodes) Node(name string) *Node {
	for _, node := range n {
		if node.Name == name {
			return node
		}
	}
	panic(fmt.Sprintf("lab: no node %q", name))
}

// logs prints the last lines of the named files below /var/log of each node.
func (n nodes) logs(tb testing.TB, paths ...string) {
	tb.Helper()
	for _, node := range n {
		for _, path := range paths {
			tb.Logf("--- %s: %s\n%s", node.Name, path, tail(filepath.Join(node.dir, "var/log", path), 16<<10))
		}
	}
}

func (n nodes) stop() {
	for _, node := range n {
		node.stop()
	}
}

// Wait calls the function Wait: it repeats check until check returns nil, and fails the test after
// the timeout.
func (c *Cluster) Wait(tb testing.TB, timeout time.Duration, what string, check func() error) {
	tb.Helper()
	Wait(tb, timeout, what, check)
}

// WaitOnline waits until every running node has a designated controller (DC), and reports exactly
// the named nodes as online.
func (c *Cluster) WaitOnline(tb testing.TB, names ...string) {
	tb.Helper()
	want := strings.Join(names, " ")
	Wait(tb, 2*time.Minute, "online "+want, func() error {
		for _, node := range c.running() {
			mon, err := node.monitor()
			if err != nil {
				return err
			}
			if got := mon.online(); got != want {
				return fmt.Errorf("%s sees %q online", node.Name, got)
			}
		}
		return nil
	})
}

// WaitIdle waits until the cluster has no more work: no action is pending, and the designated
// controller (DC) is in the state S_IDLE.
func (c *Cluster) WaitIdle(tb testing.TB) {
	tb.Helper()
	Wait(tb, 2*time.Minute, "idle cluster", func() error {
		node, err := c.any()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := node.Exec(ctx, "crm_resource", "--wait", "--timeout", "50"); err != nil {
			return err
		}
		var states []string
		for _, each := range c.running() {
			state, err := node.Exec(ctx, "crmadmin", "-S", each.Name)
			if strings.Contains(state, "S_IDLE") {
				return nil
			}
			states = append(states, fmt.Sprint(strings.TrimSpace(state), err))
		}
		return errors.New(strings.Join(states, "; "))
	})
}

// Configure loads a configuration in crm shell syntax into the cluster. It starts only one crm
// process, because each crm process takes seconds in the guest.
func (c *Cluster) Configure(tb testing.TB, text string) {
	tb.Helper()
	node, err := c.any()
	if err != nil {
		tb.Fatal(err)
	}
	const path = "/run/lab.crm"
	node.WriteFile(tb, path, text)
	node.Run(tb, "crm", "-F", "configure", "load", "update", path)
}

// Standby sets a node to standby if standby is true, and to online otherwise. It does not wait
// until the cluster has moved the resources.
func (c *Cluster) Standby(tb testing.TB, name string, standby bool) {
	tb.Helper()
	node, err := c.any()
	if err != nil {
		tb.Fatal(err)
	}
	value := "off"
	if standby {
		value = "on"
	}
	node.Run(tb, "crm_standby", "-N", name, "-v", value)
}

// Failure is one failed action in the section "Failed Resource Actions" of crm_mon.
type Failure struct {
	Op     string `xml:"op_key,attr"`
	Node   string `xml:"node,attr"`
	Status string `xml:"exitstatus,attr"`
	Reason string `xml:"exitreason,attr"`
	Exec   string `xml:"status,attr"`
}

// FailedActions returns the failed actions in the status of the cluster.
func (c *Cluster) FailedActions(tb testing.TB) []Failure {
	tb.Helper()
	return c.mustMonitor(tb).Failures
}

// FailCount returns the number of failures of a resource on all nodes since the last cleanup.
func (c *Cluster) FailCount(tb testing.TB, resource string) int {
	tb.Helper()
	count := 0
	for _, node := range c.mustMonitor(tb).History {
		for _, r := range node.Resources {
			if r.ID == resource {
				count += r.FailCount
			}
		}
	}
	return count
}

// Running returns the names of the nodes where a resource runs. It leaves out nodes where the
// resource has failed or is starting or stopping.
func (c *Cluster) Running(tb testing.TB, resource string) []string {
	tb.Helper()
	var names []string
	for _, r := range c.mustMonitor(tb).all() {
		if r.ID != resource || r.Role == "Stopped" || r.Failed || r.Pending != "" {
			continue
		}
		for _, node := range r.Nodes {
			names = append(names, node.Name)
		}
	}
	return names
}

// WaitRunning waits until a resource runs on exactly the named node.
func (c *Cluster) WaitRunning(tb testing.TB, timeout time.Duration, resource, node string) {
	tb.Helper()
	Wait(tb, timeout, resource+" on "+node, func() error {
		if got := strings.Join(c.Running(tb, resource), " "); got != node {
			return fmt.Errorf("%s runs on %q", resource, got)
		}
		return nil
	})
}

// Status returns the output of crm_mon on every running node, for failure messages.
func (c *Cluster) Status() string {
	var b strings.Builder
	for _, node := range c.running() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		out, err := node.Exec(ctx, "crm_mon", "-1", "-r", "-f", "-A")
		cancel()
		fmt.Fprintf(&b, "--- crm_mon on %s\n%s", node.Name, out)
		if err != nil {
			fmt.Fprintf(&b, "%v\n", err)
		}
	}
	return b.String()
}

func (c *Cluster) running() []*Node {
	var nodes []*Node
	for _, node := range c.nodes {
		if node.init != nil {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

func (c *Cluster) any() (*Node, error) {
	if nodes := c.running(); len(nodes) > 0 {
		return nodes[0], nil
	}
	return nil, errors.New("no node is running")
}

func (c *Cluster) mustMonitor(tb testing.TB) *monitor {
	tb.Helper()
	node, err := c.any()
	if err != nil {
		tb.Fatal(err)
	}
	mon, err := node.monitor()
	if err != nil {
		tb.Fatal(err)
	}
	return mon
}

func (c *Cluster) end(tb testing.TB) {
	if tb.Failed() {
		tb.Log(c.Status())
		c.logs(tb, "pacemaker/pacemaker.log", "pacemaker/stderr.log", "corosync/corosync.log", "corosync/stderr.log")
	}
	c.stop()
	c.current(tb)
}

// current fails the test if Pacemaker has logged that something in the configuration is deprecated.
func (n nodes) current(tb testing.TB) {
	tb.Helper()
	for _, node := range n {
		log, err := os.ReadFile(filepath.Join(node.dir, "var/log/pacemaker/pacemaker.log"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // the node may never have run Pacemaker
			tb.Error(err)
		}
		for line := range strings.Lines(string(log)) {
			if strings.Contains(strings.ToLower(line), "deprecat") {
				tb.Errorf("%s: %s", node.Name, line)
			}
		}
	}
}

// Dir returns the directory of the node's disk, which contains var/log, var/lib and upper/etc. The
// directory has the same path in every mount namespace.
func (n *Node) Dir() string { return n.dir }

// WriteFile writes a file on the running node. It creates the directory of the file if the
// directory does not exist.
func (n *Node) WriteFile(tb testing.TB, path, text string) {
	tb.Helper()
	n.create(tb, path, text, "0644")
}

// WriteProgram writes an executable file on the running node, as WriteFile writes a text file.
func (n *Node) WriteProgram(tb testing.TB, path, text string) {
	tb.Helper()
	n.create(tb, path, text, "0755")
}

func (n *Node) create(tb testing.TB, path, text, mode string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := n.Command(ctx, "sh", "-ec", `mkdir -p "$(dirname "$1")"; cat >"$1"; chmod "$2" "$1"`, "sh", path, mode)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%s: write %s: %v: %s", n.Name, path, err, out)
	}
}

// Running reports whether the node is booted and was not killed.
func (n *Node) Running() bool { return n.init != nil }

// Kill simulates a power failure of the node: it kills the node's processes and disconnects the
// node's cable. The node's addresses and IPVS table stay visible in its namespace until Restart.
func (n *Node) Kill(tb testing.TB) {
	tb.Helper()
	n.Host.Cut(tb)
	n.stop()
}

// Restart boots the node again. If the node runs, Restart first kills it. The new namespace has no
// VIP, no IPVS table and no state in /run. Files on the node's disk stay. Restart returns before
// the node is online.
func (n *Node) Restart(tb testing.TB) {
	tb.Helper()
	if n.init != nil {
		n.Kill(tb)
	}
	if err := n.Host.remove(); err != nil {
		tb.Fatal(err)
	}
	if err := n.Host.create(); err != nil {
		tb.Fatal(err)
	}
	n.boot(tb)
}

func (n *Node) write(topology *Topology, options Options) error {
	var list, names strings.Builder
	names.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	for i, h := range hosts {
		host := topology.Host(h.name)
		fmt.Fprintf(&names, "%s %s\n", host.Addr, h.name)
		if i < 2 {
			fmt.Fprintf(&list, "\tnode {\n\t\tname: %s\n\t\tnodeid: %d\n\t\tring0_addr: %s\n\t}\n", h.name, i+1, host.Addr)
		}
	}
	files := map[string]string{
		"upper/etc/hosts":    names.String(),
		"upper/etc/hostname": n.Name + "\n",
	}
	if n.manager == "pacemaker" {
		files["upper/etc/corosync/corosync.conf"] = fmt.Sprintf(corosyncConf, list.String())
	}
	for path, text := range files {
		path = filepath.Join(n.dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if options.Agents == "" {
		return nil
	}
	link := filepath.Join(n.dir, "upper/usr/lib/ocf/resource.d/lvs")
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return err
	}
	return os.Symlink(options.Agents, link)
}

func (n *Node) boot(tb testing.TB) {
	tb.Helper()
	// "ip netns exec" replaces itself with sh, so the shell is the first process of the new pid
	// namespace.
	cmd := n.Host.Command(context.Background(), "sh", "-c", nodeScript, "node", n.Name, n.dir, n.root, n.manager, n.cgroup)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	n.init = &Process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &n.init.out, &n.init.out
	if err := cmd.Start(); err != nil {
		tb.Fatalf("%s: %v", n.Name, err)
	}
	init := n.init
	go func() {
		init.err = cmd.Wait()
		close(init.done)
	}()
	n.enter = []string{"nsenter", "-t", fmt.Sprint(cmd.Process.Pid), "-m", "-u", "-i", "-p", "-n", "-r", "--"}
	Wait(tb, 30*time.Second, n.Name+" boots", func() error {
		select {
		case <-init.done:
			tb.Fatalf("%s ended: %v: %s", n.Name, init.err, init.Output())
		default:
		}
		_, err := os.Stat(fmt.Sprintf("/proc/%d/root/run/lab-node", cmd.Process.Pid))
		return err
	})
}

func (n *Node) stop() {
	if n.init == nil {
		return
	}
	n.init.Kill()
	n.init = nil
	n.enter = []string{"false"}
}

// monitor is the part of crm_mon's XML output that tests read.
type monitor struct {
	DC struct {
		Present bool   `xml:"present,attr"`
		Name    string `xml:"name,attr"`
	} `xml:"summary>current_dc"`
	Nodes []struct {
		Name    string `xml:"name,attr"`
		Online  bool   `xml:"online,attr"`
		Pending bool   `xml:"pending,attr"`
		Unclean bool   `xml:"unclean,attr"`
	} `xml:"nodes>node"`
	Resources container `xml:"resources"`
	Failures  []Failure `xml:"failures>failure"`
	History   []struct {
		Resources []struct {
			ID        string `xml:"id,attr"`
			FailCount int    `xml:"fail-count,attr"`
		} `xml:"resource_history"`
	} `xml:"node_history>node"`
}

type container struct {
	Resources []resource  `xml:"resource"`
	Groups    []container `xml:"group"`
	Clones    []container `xml:"clone"`
}

type resource struct {
	ID      string `xml:"id,attr"`
	Role    string `xml:"role,attr"`
	Failed  bool   `xml:"failed,attr"`
	Pending string `xml:"pending,attr"`
	Nodes   []struct {
		Name string `xml:"name,attr"`
	} `xml:"node"`
}

func (n *Node) monitor() (*monitor, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := n.Command(ctx, "crm_mon", "-1", "--output-as=xml", "--inactive").Output()
	if err != nil {
		return nil, fmt.Errorf("%s: crm_mon: %w", n.Name, err)
	}
	mon := &monitor{}
	if err := xml.Unmarshal(out, mon); err != nil {
		return nil, fmt.Errorf("%s: crm_mon: %w", n.Name, err)
	}
	return mon, nil
}

// online returns the names of the online nodes. If the cluster has no designated controller (DC),
// it returns the text "no DC".
func (m *monitor) online() string {
	if !m.DC.Present {
		return "no DC"
	}
	var names []string
	for _, node := range m.Nodes {
		if node.Online && !node.Pending && !node.Unclean {
			names = append(names, node.Name)
		}
	}
	return strings.Join(names, " ")
}

func (m *monitor) all() []resource {
	var list []resource
	var walk func(container)
	walk = func(c container) {
		list = append(list, c.Resources...)
		for _, inner := range append(append([]container{}, c.Groups...), c.Clones...) {
			walk(inner)
		}
	}
	walk(m.Resources)
	return list
}

func tail(path string, size int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(text) > size {
		text = text[len(text)-size:]
	}
	return string(text)
}
