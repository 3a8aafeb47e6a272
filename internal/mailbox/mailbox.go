// Package mailbox parses the mail addresses and relays in ldirectord.cf. The check of a
// configuration and the sender of mail both use this package. So the sender can send mail to every
// address that the check accepts.
package mailbox

import (
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"strconv"
	"strings"
)

// List splits a list of mail addresses at commas that are not in quotes or in <…>. It also splits
// an entry at blanks if the entry does not contain <.
func List(text string) []string {
	var all []string
	for _, entry := range split(text) {
		if strings.Contains(entry, "<") {
			all = append(all, strings.TrimSpace(entry))
			continue
		}
		all = append(all, strings.Fields(entry)...)
	}
	return all
}

// split splits a text at the commas that are outside of quotes and angle brackets.
func split(text string) (entries []string) {
	quoted, angled, begin := false, false, 0
	for i, r := range text {
		switch {
		case r == '"':
			quoted = !quoted
		case quoted:
		case r == '<', r == '>':
			angled = r == '<'
		case r == ',' && !angled:
			entries, begin = append(entries, text[begin:i]), i+1
		}
	}
	return append(entries, text[begin:])
}

// Address returns a mail address as a mail header has it: an optional display name, and the address
// in <…>. If the text names only a user, Address adds the host. It puts the local part into quotes
// if the mail format requires quotes, as in "a..b"@example.org. ldirectord accepts and sends this
// address without quotes.
func Address(text, host string) (string, error) {
	text = strings.TrimSpace(text)
	name, bare := "", text
	if begin := strings.LastIndexByte(text, '<'); begin >= 0 && strings.HasSuffix(text, ">") {
		name, bare = strings.TrimSpace(text[:begin]), text[begin+1:len(text)-1]
	}
	at := strings.LastIndexByte(bare, '@')
	if at < 0 {
		bare, at = bare+"@"+host, len(bare)
	}
	local, domain := bare[:at], bare[at+1:]
	if local == "" || domain == "" || strings.ContainsAny(bare, " \t\r\n<>()\\") {
		return "", errAddress
	}
	if unquoted, err := strconv.Unquote(name); err == nil {
		name = unquoted
	}
	for _, candidate := range []string{local, strconv.Quote(strings.Trim(local, `"`))} {
		a := mail.Address{Name: name, Address: candidate + "@" + domain}
		written := a.String()
		if name == "" {
			written = "<" + a.Address + ">"
		}
		if parsed, err := mail.ParseAddress(written); err == nil && parsed.Name == name {
			return written, nil
		}
	}
	return "", errAddress
}

var errAddress = errors.New("not a mail address")

// defaultPort is the port of SMTP (RFC 5321 section 4.5.4.2).
const defaultPort = 25

// Relay splits a relay into host and port. It accepts HOST, HOST:PORT, an IPv4 address with or
// without a port, and an IPv6 address. An IPv6 address in brackets can have a port.
func Relay(text string) (host string, port int, err error) {
	bare := text
	if strings.HasPrefix(text, "[") && !strings.Contains(text, "]") {
		return "", 0, fmt.Errorf("%q has no closing bracket", text)
	}
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		bare = text[1 : len(text)-1]
	}
	if addr, err := netip.ParseAddr(bare); err == nil {
		return addr.String(), defaultPort, nil
	}
	host, number := text, ""
	if colon := strings.LastIndexByte(text, ':'); colon >= 0 {
		host, number = text[:colon], text[colon+1:]
		if port, err = strconv.Atoi(number); err != nil || port < 1 || port > 65535 {
			return "", 0, fmt.Errorf("port %q is not a number from 1 to 65535", number)
		}
	} else {
		port = defaultPort
	}
	if bracketed, found := strings.CutPrefix(host, "["); found {
		addr, err := netip.ParseAddr(strings.TrimSuffix(bracketed, "]"))
		if err != nil || !strings.HasSuffix(bracketed, "]") {
			return "", 0, fmt.Errorf("%q is not an IPv6 address in brackets", host)
		}
		host = addr.String()
	}
	if host == "" || strings.ContainsAny(host, " \t[]") || number != "" && strings.Contains(host, ":") && !strings.HasPrefix(text, "[") {
		return "", 0, fmt.Errorf("%q is not HOST, HOST:PORT or [IPv6 address]:PORT", text)
	}
	return host, port, nil
}

// Hello returns the name that a host sends in its SMTP greeting to a relay. If the host name has a
// domain, Hello returns the host name. Some relays refuse a name without a domain, so Hello then
// returns the address that the host sends from, in brackets (RFC 5321 section 4.1.3). If from is
// the zero value, Hello returns the host name.
func Hello(host string, from netip.Addr) string {
	from = from.Unmap().WithZone("")
	switch {
	case strings.Contains(host, "."), !from.IsValid():
		return host
	case from.Is6():
		return "[IPv6:" + from.String() + "]"
	}
	return "[" + from.String() + "]"
}
