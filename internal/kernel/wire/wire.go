// Package wire sends packets to this host as a neighbour would. It finds out which addresses the
// host replies for, and which addresses the host announces.
//
// The packets come from a cable (a veth pair) whose far end is in a separate network namespace. The
// kernel redirects packets from the near end to a network interface, as if that interface had
// received them (tc, mirred ingress redirect). So the settings and rules of that interface apply,
// and no other host receives the queries. The namespace and the cable end with the process, even if
// the process is killed.
package wire

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/link"
	knetlink "lvs-agents/internal/kernel/netlink"
	"lvs-agents/internal/kernel/packet"
)

// Kernel probes this host, in the network namespace of the calling thread.
type Kernel struct{}

// Probe sends queries for the addresses to every interface with neighbours, and makes the host send
// a datagram from each IPv4 address that it has. It returns the addresses that the host replied
// for, and the addresses that the host announced. Each address has the name of the interface. Deaf
// has an own address of each interface that did not reply for it.
func (Kernel) Probe(ctx context.Context, ips []netip.Addr) (host.Heard, error) {
	heard := host.Heard{}
	links, err := interfaces(ctx)
	if err != nil {
		return heard, err
	}
	for _, nic := range links {
		if err := probe(ctx, nic, ips, &heard); err != nil {
			return heard, fmt.Errorf("probing %s: %w", nic.Name, err)
		}
	}
	return heard, nil
}

// interfaces returns the interfaces with neighbours that can query. It leaves out interfaces with a
// master, because a bridge or bond handles all packets of its ports.
func interfaces(ctx context.Context) ([]netlink.LinkAttrs, error) {
	list, err := link.Interfaces(ctx)
	return slices.DeleteFunc(list, func(nic netlink.LinkAttrs) bool {
		asked := nic.RawFlags&(unix.IFF_UP|unix.IFF_LOOPBACK|unix.IFF_NOARP) == unix.IFF_UP
		return !asked || nic.MasterIndex != 0 || len(nic.HardwareAddr) != 6
	}), err
}

// cable is a veth pair whose far end is in a separate network namespace.
type cable struct {
	handle *netlink.Handle
	near   netlink.Link
	far    int // far is the descriptor of a packet socket on the far end.
}

// carrier waits until an end of a cable has a carrier. The kernel reports the carrier some time
// after both ends are up, and drops packets that are sent earlier.
func carrier(ctx context.Context, h *netlink.Handle, name string) error {
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		link, err := h.LinkByName(name)
		if err != nil || link.Attrs().OperState == netlink.OperUp {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the veth pair %s has no carrier: %w", name, ctx.Err())
		case <-again.C:
		}
	}
}

// plug creates a cable. The namespace of the far end exists as long as the packet socket in it is
// open.
func plug(ctx context.Context) (*cable, error) {
	h, err := knetlink.Handle(ctx)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("lvsp%d", os.Getpid())
	namespace, open, err := emptyNamespace()
	if err != nil {
		h.Close()
		return nil, err
	}
	defer namespace.Close()
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "far", PeerNamespace: netlink.NsFd(int(namespace.Fd()))}
	if err := h.LinkAdd(veth); err != nil {
		h.Close()
		return nil, fmt.Errorf("ip link add %s type veth: %w", name, err)
	}
	c := &cable{handle: h, near: veth, far: -1}
	// The cable needs no IPv6. The kernel can be without IPv6, so an error is ignored.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0)
	if c.near, err = h.LinkByName(name); err == nil {
		err = h.LinkSetUp(c.near)
	}
	if err == nil {
		c.far, err = open(ctx)
	}
	if err == nil {
		err = carrier(ctx, h, name)
	}
	if err != nil {
		c.unplug()
		return nil, err
	}
	return c, nil
}

func (c *cable) unplug() {
	_ = c.handle.LinkDel(c.near)
	if c.far >= 0 {
		_ = unix.Close(c.far)
	}
	c.handle.Close()
}

// emptyNamespace creates a network namespace. The returned function opens a packet socket on the
// interface named far in this namespace. The caller must not call the function more than once.
func emptyNamespace() (*os.File, func(context.Context) (int, error), error) {
	type result struct {
		file *os.File
		fd   int
		err  error
	}
	made, opened, goOn := make(chan result), make(chan result), make(chan context.Context)
	go func() {
		// The thread is never unlocked, so the thread ends with the goroutine.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		var file *os.File
		if err == nil {
			file, err = os.Open("/proc/thread-self/ns/net")
		}
		made <- result{file: file, err: os.NewSyscallError("unshare", err)}
		if err != nil {
			return
		}
		if ctx, ok := <-goOn; ok {
			fd, err := openFar(ctx)
			opened <- result{fd: fd, err: err}
		}
	}()
	r := <-made
	return r.file, func(ctx context.Context) (int, error) {
		goOn <- ctx
		r := <-opened
		return r.fd, r.err
	}, r.err
}

func openFar(ctx context.Context) (int, error) {
	h, err := knetlink.Handle(ctx)
	if err != nil {
		return -1, err
	}
	defer h.Close()
	far, err := h.LinkByName("far")
	if err != nil {
		return -1, err
	}
	// IPv6 is off, so that the far end sends no packets on its own.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/far/disable_ipv6", []byte("1"), 0)
	if err := h.LinkSetUp(far); err != nil {
		return -1, err
	}
	if err := carrier(ctx, h, "far"); err != nil {
		return -1, err
	}
	return packetSocket(far.Attrs().Index)
}

// packetSocket opens a socket that receives every packet that an interface receives or sends.
func packetSocket(index int) (int, error) {
	// With protocol 0, the socket receives no packets before bind.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: packet.NetworkOrder(unix.ETH_P_ALL), Ifindex: index}); err != nil {
		_ = unix.Close(fd)
		return -1, os.NewSyscallError("bind", err)
	}
	return fd, nil
}

// redirect makes the kernel pass packets from the near end to an interface, as if that interface
// had received them.
func (c *cable) redirect(to netlink.LinkAttrs) error {
	index := c.near.Attrs().Index
	ingress := netlink.MakeHandle(0xffff, 0)
	qdisc := &netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Parent: netlink.HANDLE_INGRESS, Handle: ingress}}
	if err := c.handle.QdiscAdd(qdisc); err != nil {
		return fmt.Errorf("tc qdisc add ingress: %w", err)
	}
	mirred := &netlink.MirredAction{ActionAttrs: netlink.ActionAttrs{Action: netlink.TC_ACT_STOLEN}, MirredAction: netlink.TCA_INGRESS_REDIR, Ifindex: to.Index}
	filter := &netlink.U32{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: ingress, Priority: 1, Protocol: unix.ETH_P_ALL},
		Actions:     []netlink.Action{mirred},
	}
	if err := c.handle.FilterAdd(filter); err != nil {
		return fmt.Errorf("tc filter add u32 action mirred: %w; modprobe -a act_mirred cls_u32 sch_ingress", err)
	}
	return nil
}

// replyWait is how long the reply to a query can take on a busy host.
const replyWait = 2 * time.Second

func probe(ctx context.Context, nic netlink.LinkAttrs, ips []netip.Addr, heard *host.Heard) error {
	c, err := plug(ctx)
	if err != nil {
		return err
	}
	defer c.unplug()
	if err := announcements(ctx, c, nic, ips, heard); err != nil {
		return err
	}
	if err := c.redirect(nic); err != nil {
		return err
	}
	for _, v6 := range []bool{false, true} {
		if err := answers(ctx, c, nic, ofFamily(ips, v6), heard); err != nil {
			return err
		}
	}
	return nil
}

func ofFamily(ips []netip.Addr, v6 bool) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(ips), func(ip netip.Addr) bool { return ip.Is6() != v6 })
}

// answers sends queries for the addresses, and stores the addresses that the interface replies for.
// If the interface has another address, answers sends a query for that address before and after
// these queries. The first reply proves that queries reach the interface. The last reply proves
// that all replies to the queries before it would have arrived.
func answers(ctx context.Context, c *cable, nic netlink.LinkAttrs, ips []netip.Addr, heard *host.Heard) error {
	if len(ips) == 0 {
		return nil
	}
	own, err := link.Own(ctx, nic.Index, ips[0].Is6())
	if err != nil {
		return err
	}
	own = slices.DeleteFunc(own, func(ip netip.Addr) bool { return slices.Contains(ips, ip) })
	ear, err := packetSocket(nic.Index)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(ear) }()
	if err := onlyToAskers(ear); err != nil {
		return err
	}
	defer c.forget(nic)
	if len(own) > 0 {
		awake, err := c.query(ctx, ear, own[:1], opener, nil)
		if err == nil && !awake {
			heard.Deaf = append(heard.Deaf, host.Word{NIC: nic.Name, IP: own[0]})
		}
		if err != nil || !awake {
			return err
		}
	}
	note := func(ip netip.Addr) {
		if slices.Contains(ips, ip) {
			heard.Answered = host.AddWord(heard.Answered, host.Word{NIC: nic.Name, IP: ip})
		}
	}
	for _, ip := range ips {
		if err := c.send(question(ip, asker)); err != nil {
			return err
		}
	}
	_, err = c.query(ctx, ear, own[:min(1, len(own))], controller, note)
	return err
}

func (c *cable) send(frame []byte) error {
	_, err := unix.Write(c.far, frame)
	return os.NewSyscallError("write", err)
}

// query sends queries for addresses from the link-layer address who, until a reply to who arrives.
// It passes the addresses in replies to other askers to the function note. Without addresses, query
// only waits for these replies, for the full replyWait.
func (c *cable) query(ctx context.Context, ear int, ips []netip.Addr, who net.HardwareAddr, note func(netip.Addr)) (answer bool, err error) {
	const interval = 200 * time.Millisecond
	for try := 0; !answer && time.Duration(try)*interval < replyWait; try++ {
		for _, ip := range ips {
			if err := c.send(question(ip, who)); err != nil {
				return false, err
			}
		}
		err := listen(ctx, ear, interval, func(frame []byte) bool {
			ip, ok := answered(frame)
			if !ok || !bytes.HasPrefix(frame, asker[:filtered]) { // the socket received the packet before it had the filter
				return false
			}
			// The receiver of a reply shows which query the host replied to. The sender does not,
			// because an ARP rule can have changed it.
			answer = bytes.HasPrefix(frame, who)
			if !answer && note != nil {
				note(ip)
			}
			return answer
		})
		if err != nil {
			return false, err
		}
	}
	return answer, nil
}

// forget deletes asker, opener and controller from the IPv6 neighbour table of this host.
func (c *cable) forget(nic netlink.LinkAttrs) {
	for _, who := range []net.HardwareAddr{asker, opener, controller} {
		_ = c.handle.NeighDel(&netlink.Neigh{LinkIndex: nic.Index, Family: netlink.FAMILY_V6, IP: linkLocal(who).AsSlice()})
	}
}

// listen reads packets until the function enough returns true for a packet, or until wait has
// passed.
func listen(ctx context.Context, fd int, wait time.Duration, enough func([]byte) bool) error {
	until := time.Now().Add(wait) //nolint:forbidigo // packets take real time
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
		until = deadline
	}
	buffer := make([]byte, 2048)
	for {
		left := time.Until(until)
		if left <= 0 {
			return nil
		}
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("poll", err)
		}
		if ready <= 0 {
			continue
		}
		n, _, err := unix.Recvfrom(fd, buffer, unix.MSG_DONTWAIT)
		if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("recvfrom", err)
		}
		if err == nil && enough(buffer[:n]) {
			return nil
		}
	}
}

// Two addresses of a network for tests (RFC 2544). The near end gets the first address, without a
// route. No host has the second address.
var (
	here    = netip.MustParseAddr("198.18.255.253")
	nowhere = netip.MustParseAddr("198.18.255.254")
)

// announcements makes the host send a datagram from each IPv4 address to a host at the far end. The
// kernel must first query for that host with ARP, and the query shows which address the kernel
// announces. The near end has the same arp_announce as the interface.
func announcements(ctx context.Context, c *cable, nic netlink.LinkAttrs, ips []netip.Addr, heard *host.Heard) error {
	const conf = "/proc/sys/net/ipv4/conf/"
	value, err := os.ReadFile(conf + nic.Name + "/arp_announce")
	if err == nil {
		err = os.WriteFile(conf+c.near.Attrs().Name+"/arp_announce", value, 0)
	}
	if err == nil {
		network := &net.IPNet{IP: here.AsSlice(), Mask: net.CIDRMask(30, 32)}
		err = c.handle.AddrAdd(c.near, &netlink.Addr{IPNet: network, Flags: unix.IFA_F_NOPREFIXROUTE, Broadcast: net.IPv4zero})
	}
	if err != nil {
		return err
	}
	for _, ip := range ofFamily(ips, false) {
		sent, err := sendFrom(ip, c.near.Attrs().Name)
		if err != nil {
			return fmt.Errorf("sending from %s: %w", ip, err)
		}
		if !sent {
			continue // This host does not have the address, so it cannot send a packet from it.
		}
		err = listen(ctx, c.far, replyWait, func(frame []byte) bool {
			sender, ok := asked(frame)
			if ok && sender == ip {
				heard.Announced = host.AddWord(heard.Announced, host.Word{NIC: nic.Name, IP: ip})
			}
			return ok
		})
		if err != nil {
			return err
		}
		// The kernel must send a new query for the next address.
		_ = c.handle.NeighDel(&netlink.Neigh{LinkIndex: c.near.Attrs().Index, Family: netlink.FAMILY_V4, IP: nowhere.AsSlice()})
	}
	return nil
}

// sendFrom sends a datagram from an address through the near end. It returns false if the host does
// not have the address.
func sendFrom(ip netip.Addr, nic string) (bool, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer func() { _ = unix.Close(fd) }()
	err = unix.Bind(fd, &unix.SockaddrInet4{Addr: ip.As4()})
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return false, nil
	}
	return true, cmp.Or(err, unix.BindToDevice(fd, nic),
		unix.Sendto(fd, []byte("lvs-agents"), unix.MSG_DONTWAIT, &unix.SockaddrInet4{Port: 9, Addr: nowhere.As4()}))
}

// The link-layer addresses that send queries. They are locally administered, and no host has them.
var (
	asker      = net.HardwareAddr{0x02, 'L', 'V', 'S', 0, 1}
	opener     = net.HardwareAddr{0x02, 'L', 'V', 'S', 0, 2} // The first query has this sender.
	controller = net.HardwareAddr{0x02, 'L', 'V', 'S', 0, 3} // The last query has this sender.
)

// linkLocal returns the IPv6 address of the sender of a query.
func linkLocal(who net.HardwareAddr) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: who[0] ^ 2, who[1], who[2], 0xff, 0xfe, who[3], who[4], who[5]})
}
