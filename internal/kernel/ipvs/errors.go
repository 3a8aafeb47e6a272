package ipvs

import (
	"cmp"
	"errors"
	"io/fs"
	"syscall"

	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/capability"
	knetlink "lvs-agents/internal/kernel/netlink"
	"lvs-agents/internal/lvs"
)

// errMixed is the error for EINVAL from a tunnel to the other address family. The kernel has no
// other reason then, because lvs.VirtualService.Validate refuses the addresses that the kernel
// refuses.
var errMixed = errors.New("IPVS has no real servers of the other address family while a synchronisation daemon runs; use servers of one family, or stop the daemon")

// Lacks returns a host.ErrNotInstalled if the kernel certainly lacks something that the services of
// a table need. It reads files, and loads no module.
func (k *Kernel) Lacks(t lvs.Table) error { return capability.New().Lacks(t.Features()...) }

// absent returns the error for a kernel without IPVS. The error names what brings IPVS, or
// modprobe.
func absent() error {
	return cmp.Or(capability.New().Lacks(lvs.FeatureIPVS), host.NotInstalled("IPVS is not in this kernel; modprobe ip_vs"))
}

// translate turns an error number of IPVS into an error of the packages fs, context and host. The
// zero op means that the kernel returned the error for a read. The kernel returns ESRCH for a
// missing service, and ENOENT for a missing destination or scheduler
// (net/netfilter/ipvs/ip_vs_ctl.c: ip_vs_genl_set_cmd, ip_vs_add_service, ip_vs_edit_service).
func translate(op lvs.Op, err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err
	}
	adds := op.Verb == lvs.AddService || op.Verb == lvs.EditService
	switch {
	case errno == syscall.ENOENT && adds:
		if err := capability.New().Lacks(lvs.VirtualService{Service: op.Service}.Features()...); err != nil {
			return err
		}
		s, engine := op.Service.Scheduler, op.Service.Engine
		if engine != "" {
			return host.NotInstalled("scheduler %q or persistence engine %q is not available; modprobe ip_vs_%s, modprobe ip_vs_pe_%s", s, engine, s, engine)
		}
		return host.NotInstalled("scheduler %q is not available; modprobe ip_vs_%s", s, s)
	case errno == syscall.ENOENT && ofDestination(op):
		return fs.ErrNotExist
	case errno == syscall.EINVAL && ofDestination(op) && op.Destination.Forward == lvs.Tunnel && op.Destination.Addr.Addr().Is6() != op.Service.ID.Is6():
		return errMixed
	case errno == syscall.EAFNOSUPPORT:
		return host.NotInstalled("IPVS of this kernel has no IPv6 (CONFIG_IP_VS_IPV6)")
	}
	return knetlink.Translate(err)
}
