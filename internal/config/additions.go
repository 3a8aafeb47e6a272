package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// ofOurs are directives that ldirectord does not have.
func ofOurs() []directive {
	return []directive{
		{name: "rise", short: "Good checks until a failed real server is back", where: inBoth, class: plain, set: setCount("checks", func(s *scope) *int { return &s.rise }),
			values: "number", unset: "1", example: "3", about: "Checks in a row that must succeed until a real server that is down counts as up. The first check of a new real server decides alone. Not in ldirectord."},
		{name: "fall", short: "Failed checks until a real server is down", where: inBoth, class: plain, set: setCount("failures", func(s *scope) *int { return &s.fall }),
			values: "number", unset: "1", example: "2", about: "Checks in a row that must fail until a real server counts as down: another name of failurecount. Not in ldirectord."},
		{name: "verify", short: "Verification of certificates", where: inBlock, class: plain, set: setVerify,
			values: "no, chain or name", unset: "chain for https, pops and imaps; no for ldaps", example: "name\n\tservice=https\n\tvirtualhost=www.example.org",
			about: "What of a real server's TLS certificate is verified: chain, that an authority which this system trusts has signed it and that it is valid now; name, also that it is for virtualhost, or for the real server's address without one; no, nothing. Not in ldirectord."},
		{name: "httpstatus", short: "Good statuses of HTTP", where: inBlock, class: freeText, set: setStatus,
			values: "statuses, classes and ranges, joined by commas", unset: "2xx", example: "2xx,301,400-404",
			about: "The statuses of HTTP that are good. A redirection whose status is among them is not followed. Not in ldirectord."},
	}
}

// shortest is the grain of the daemon's wheel.
const shortest = 10 * time.Millisecond

// setTime takes seconds, and milliseconds with their unit.
func setTime(field func(*scope) *time.Duration) setter {
	return func(s *scope, value string) error {
		number, found := strings.CutSuffix(value, "ms")
		n, err := strconv.ParseUint(number, 10, 31)
		if !found || err != nil {
			return setSeconds(field)(s, value)
		}
		d := time.Duration(n) * time.Millisecond
		if d < shortest || d > lvs.MaxPersistence {
			return fault.Errorf("", "%s is not a number of milliseconds from %d to %d", s.named(value), shortest.Milliseconds(), lvs.MaxPersistence.Milliseconds())
		}
		*field(s) = d
		return nil
	}
}

// Verification is what of a certificate is verified: no, chain or name. The
// zero value is for checks without TLS.
type Verification string

func setVerify(s *scope, value string) error {
	if !slices.Contains([]string{"no", "chain", "name"}, value) {
		return fault.Errorf("write no, chain or name", "%s is neither no nor chain nor name", s.named(value))
	}
	s.block.check.Verify = Verification(value)
	return nil
}

// verification fills in the default, which is that of Perl's libraries on Debian.
func (c Check) verification() Verification {
	switch c.Application {
	case "https", "pops", "imaps":
		return cmp.Or(c.Verify, "chain")
	case "ldaps":
		return cmp.Or(c.Verify, "no")
	case NoApplication:
	}
	return ""
}

// Statuses is a set of HTTP statuses, one bit each. The zero value is 2xx.
type Statuses [600 / 60]uint64

// Good tells whether a status is in the set.
func (s Statuses) Good(status int) bool {
	if s == (Statuses{}) {
		return status/100 == 2
	}
	return status >= 0 && status < 600 && s[status/60]&(1<<(status%60)) != 0
}

func setStatus(s *scope, value string) error {
	var set Statuses
	for _, word := range listed(value) {
		low, high, ok := statusRange(word)
		if !ok {
			return fault.Errorf("write 200, 2xx or 200-299, joined by commas", "%s has no status in %s", s.named(value), fault.Quote(word))
		}
		for status := low; status <= high; status++ {
			set[status/60] |= 1 << (status % 60)
		}
	}
	if set == (Statuses{}) {
		return fault.Errorf("write 200, 2xx or 200-299, joined by commas", "%s has no status", s.named(value))
	}
	s.block.check.Status = set
	return nil
}

// statusRange reads 200, 2xx or 200-299.
func statusRange(word string) (low, high int, ok bool) {
	from, to, isRange := strings.Cut(word, "-")
	if class, found := strings.CutSuffix(word, "xx"); found {
		from, to = class+"00", class+"99"
	} else if !isRange {
		to = from
	}
	low, err := strconv.Atoi(from)
	high, other := strconv.Atoi(to)
	return low, high, err == nil && other == nil && low >= 100 && high < 600 && low <= high
}

// meaningless finds what a negotiate check lacks to mean anything, or to
// succeed at all. ldirectord is silent about it, so its files may have it.
func (c Check) meaningless(protocol lvs.Protocol) fault.Fault {
	lacksLogin := c.Login == (Secret{})
	lacksRequest := strings.Trim(c.Request, "/") == ""
	switch c.Application {
	case NoApplication:
	case "dns":
		if lacksRequest {
			return fault.New("service=dns has no name to ask for, so no real server is ever up", `add request="NAME", and receive="ADDRESS" for what it must answer`)
		}
		if c.Receive == "" {
			return fault.New("service=dns without receive: any address is a good answer (ldirectord: none is)", `add receive="ADDRESS"`)
		}
	case "mysql", "pgsql", "oracle":
		if lacksLogin {
			return fault.New("service="+string(c.Application)+" cannot log in without a user, so no real server is ever up", `give login and passwd`)
		}
		if c.Application == "oracle" && c.Database == "" {
			return fault.New("service=oracle has no database, so no real server is ever up", `add database="SID"`)
		}
		if lacksRequest {
			return fault.New("service="+string(c.Application)+" without request: to log in is enough (ldirectord: it never is)", `add request="SELECT 1"`)
		}
	case "radius":
		if lacksLogin || c.Secret == (Secret{}) {
			return fault.New("service=radius cannot ask without a user and the shared secret, so no real server is ever up", `give login, passwd and secret`)
		}
	case "pop", "pops", "imap", "imaps":
		if lacksLogin {
			return fault.New("service="+string(c.Application)+" without login: a greeting is enough", `give login and passwd`)
		}
	case "ftp":
		if lacksRequest {
			return fault.New("service=ftp without request: to log in is enough"+anonymous(lacksLogin), `add request="FILE" and receive="TEXT"`)
		}
	case "simpletcp":
		if protocol == lvs.UDP && lacksRequest {
			return fault.New("service=simpletcp over udp has nothing to send, so no real server is ever up", `add request="TEXT"`)
		}
		if c.Receive == "" {
			return fault.New("service=simpletcp without receive: any answer is good", `add receive="TEXT"`)
		}
	case "http_proxy":
		if !strings.HasPrefix(strings.TrimPrefix(c.Request, "/"), "http://") {
			return fault.New("service=http_proxy has no page to ask the proxy for, so no real server is ever up", `add request="http://HOST/PATH"`)
		}
	}
	return fault.Fault{}
}

func anonymous(is bool) string {
	if is {
		return ", as anonymous"
	}
	return ""
}
