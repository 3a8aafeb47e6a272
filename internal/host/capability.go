package host

// Presence reports whether a kernel has something. The zero value means that it is unknown.
type Presence uint8

// The values of a Presence.
const (
	Unknown Presence = iota
	// Missing: neither the kernel nor its modules on the disk have it.
	Missing
	// Blocked: it exists, but the configuration of this host prevents its use.
	Blocked
	// Loadable: the kernel loads its module at the first use.
	Loadable
	// Present: the kernel has it now.
	Present
)

// String returns the words of lvsctl doctor.
func (p Presence) String() string {
	switch p {
	case Missing:
		return "missing"
	case Blocked:
		return "blocked"
	case Loadable:
		return "available, not loaded"
	case Present:
		return "present"
	case Unknown:
	}
	return "unknown"
}

// Capability is one thing that a kernel can have.
type Capability struct {
	Name     string // Name is, for example, "scheduler mh" or "net.ipv4.vs.sloppy_tcp".
	Presence Presence
	Value    string // Value is the value of a sysctl.
	Why      string // Why is the reason if the capability is unknown, missing or blocked.
	Fix      string // Fix is what an operator can do if the capability is missing or blocked.
}

// Lacks reports whether this host certainly cannot use the capability.
func (c Capability) Lacks() bool { return c.Presence == Missing || c.Presence == Blocked }
