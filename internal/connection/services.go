package connection

import (
	"net/netip"
	"time"

	"lvs-agents/internal/lvs"
)

// Services has the properties of virtual services that a message carries with their connections,
// and that the connection table does not show.
type Services struct {
	byID map[lvs.ServiceID]lvs.Service
	// marks has, for each real server, the lowest firewall mark of a service that has it.
	marks   map[netip.Addr]uint32
	ofAddrs map[destination]bool
}

// destination is a real server of a service that has an address.
type destination struct {
	id   lvs.ServiceID
	real netip.Addr
}

// NewServices returns the properties of the services in a table.
func NewServices(table lvs.Table) Services {
	s := Services{map[lvs.ServiceID]lvs.Service{}, map[netip.Addr]uint32{}, map[destination]bool{}}
	for _, v := range table {
		s.byID[v.ID] = v.Service
		for _, d := range v.Destinations {
			real := d.Addr.Addr()
			if !v.ID.IsMark() {
				s.ofAddrs[destination{v.ID, real}] = true
				continue
			}
			if lowest, known := s.marks[real]; !known || v.ID.Mark < lowest {
				s.marks[real] = v.ID.Mark
			}
		}
	}
	return s
}

// Mark returns the firewall mark of the service of a connection. It returns 0 if the service has an
// address, and if no service has the real server.
func (s Services) Mark(c Connection) uint32 {
	if c.Protocol == 0 {
		return c.Mark()
	}
	if _, known := s.service(c); known {
		return 0
	}
	return s.marks[c.Real.Addr()]
}

// Timeout returns how long a receiver keeps an entry without traffic. It is the remaining time of
// a connection, and the full time of a template: the connections of the client prolong a template
// only on the director that created it.
func (s Services) Timeout(c Connection) time.Duration {
	if !c.Template() {
		return c.Expires
	}
	service, _ := s.service(c)
	if c.Protocol == 0 {
		service = s.byID[lvs.MarkService(c.Mark(), c.Client.Addr().Is6())]
	}
	return max(c.Expires, service.Persistence)
}

// service returns the service with the address of a connection, which can have port 0 for all
// ports.
func (s Services) service(c Connection) (lvs.Service, bool) {
	for _, port := range [...]uint16{c.Virtual.Port(), 0} {
		id := lvs.AddrService(lvs.Protocol(c.Protocol), netip.AddrPortFrom(c.Virtual.Addr(), port))
		if s.ofAddrs[destination{id, c.Real.Addr()}] {
			return s.byID[id], true
		}
	}
	return lvs.Service{}, false
}
