package metadata

import (
	"fmt"
	"net/netip"
	"strings"

	"lvs-agents/internal/suggest"
)

// Haresources turns the arguments of a script in heartbeat's haresources into an environment for
// Load. The first argument has the values of the parameters in a.Arguments, or it is name=value
// like all other arguments.
//
// Heartbeat splits a line at ::, so it splits IPv6 addresses too. Haresources returns an error for
// such parts; the error has the address in its long form.
func (a Agent) Haresources(args []string) ([]string, error) {
	if err := torn(args); err != nil {
		return nil, err
	}
	var environ []string
	for i, arg := range args {
		name, value, named := strings.Cut(arg, "=")
		switch {
		case named && a.has(name):
			environ = append(environ, prefix+name+"="+value)
		case i == 0:
			first, err := a.first(arg)
			if err != nil {
				return nil, err
			}
			environ = append(environ, first...)
		case named:
			return nil, fmt.Errorf("unknown parameter %s%s", name, suggest.Hint(name, a.names()))
		default:
			return nil, fmt.Errorf("argument %q is not name=value; only the first argument can omit the name: %s", arg, strings.Join(a.Arguments, "/"))
		}
	}
	return environ, nil
}

// first splits the first argument at slashes. If a.Arguments has only one parameter, first does not
// split the argument, because it can be a path.
func (a Agent) first(arg string) ([]string, error) {
	parts := []string{arg}
	if len(a.Arguments) > 1 {
		parts = strings.Split(arg, "/")
	}
	if len(parts) > len(a.Arguments) {
		return nil, fmt.Errorf("argument %q has too many parts; give %s", arg, strings.Join(a.Arguments, "/"))
	}
	environ := make([]string, 0, len(parts))
	for i, part := range parts {
		environ = append(environ, prefix+a.Arguments[i]+"="+part)
	}
	return environ, nil
}

// torn returns an error if heartbeat has split an IPv6 address.
func torn(args []string) error {
	var words []string
	for _, arg := range args {
		if !strings.Contains(arg, "=") {
			words = append(words, arg)
		}
	}
	if len(words) < 2 {
		return nil
	}
	address, rest, _ := strings.Cut(strings.Join(words, "::"), "/")
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return nil
	}
	if rest != "" {
		rest = "/" + rest
	}
	return fmt.Errorf("haresources cannot hold the IPv6 address %s, because heartbeat splits a line at ::; write %s%s", address, long(ip), rest)
}

// long returns an IPv6 address without ::.
func long(ip netip.Addr) string {
	bytes := ip.As16()
	groups := make([]string, 0, len(bytes)/2)
	for i := 0; i < len(bytes); i += 2 {
		groups = append(groups, fmt.Sprintf("%x", uint16(bytes[i])<<8|uint16(bytes[i+1])))
	}
	return strings.Join(groups, ":")
}
