package ldirectord

import (
	"cmp"
	"slices"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// request reports an error for a request that is a whole URL. ldirectord would request a path with
// the text of the URL from the real server, and the check would never succeed.
func (p *parser) request(b *block, c config.Check) {
	scheme, rest, absolute := strings.Cut(urlLogin.ReplaceAllString(c.Request, "://"), "://")
	if !absolute || c.Application != "http" && c.Application != "https" || strings.ContainsAny(scheme, "/?") {
		return
	}
	_, path, _ := strings.Cut(rest, "/")
	p.add(b.given["request"], 0, config.Error, fault.New(
		"request="+fault.Quote(c.Request)+" is a whole URL; for all real servers of a service it must be a path",
		"write request="+fault.Quote("/"+path)))
}

// meaning warns about the first of these faults: a check without a program, and a setting that has
// no effect or another effect with the other settings of the block.
func (p *parser) meaning(b *block, c config.Check) {
	warn := func(directive, what, fix string) {
		p.add(cmp.Or(b.given[directive], b.virtual.line), 0, config.Warning, fault.New(what, fix))
	}
	negotiates := c.Type == config.Negotiate || c.Type == config.Combined
	pages := negotiates && slices.Contains([]config.Application{"http", "https", "http_proxy"}, c.Application)
	switch {
	case c.Type == config.External && b.given["checkcommand"] == 0:
		warn("checktype", "no checkcommand, so every real server counts as good", "add checkcommand=PROGRAM")
	case c.Type == config.ExternalPerl && b.given["checkcommand"] == 0:
		warn("checktype", "no checkcommand, so no real server is ever up", "add checkcommand=SCRIPT")
	case c.Type != config.External && c.Type != config.ExternalPerl && b.given["checkcommand"] != 0:
		warn("checkcommand", "checkcommand has no effect with checktype="+string(c.Type), "write checktype=external")
	case strings.Contains(c.Command, " "):
		warn("checkcommand", "ldirectord takes the whole value as the name of a program; here it is a program and its arguments", "")
	case b.given["disable_on"] != 0 && !pages:
		warn("disable_on", "disable_on has an effect only for a negotiate check of http, https or http_proxy", "delete the line")
	case negotiates && c.Method == "HEAD" && c.Receive != "":
		warn("httpmethod", "the reply to HEAD has no body, so receive must match an empty text", "write httpmethod=GET")
	}
}

// asksPort reports whether a check queries a port.
func asksPort(c config.Check, protocol lvs.Protocol) bool {
	switch c.Type {
	case config.Negotiate:
		return c.Application != config.NoApplication
	case config.Connect:
		return protocol != lvs.UDP // For UDP, the connect check is a ping check.
	case config.Combined, config.UDP:
		return true
	case config.Ping, config.On, config.Off, config.External, config.ExternalPerl:
	}
	return false
}

// need reports settings that a check needs and does not have.
func (p *parser) need(b *block, s config.Service, c config.Check, reals []checkedReal) {
	for _, r := range reals {
		if r.port == 0 && r.CheckedPort(c) == 0 && asksPort(c, s.ID.Protocol) {
			p.add(r.Line, 0, config.Warning, fault.New("no port to check, so this real server is never up", "add checkport=PORT"))
			break
		}
	}
	silent := func(r checkedReal) bool {
		return r.request == "" && c.Receive == "" || r.request != "" && r.receive == ""
	}
	if c.Type == config.UDP && slices.ContainsFunc(reals, silent) {
		p.add(cmp.Or(b.given["checktype"], b.virtual.line), 0, config.Warning, fault.New(
			"checktype=udp without receive: a server whose host is down counts as good", `add request="TEXT" and receive="TEXT"`))
	}
	if c.Type != config.Negotiate && c.Type != config.Combined || len(reals) == 0 {
		return
	}
	for _, name := range []string{"login", "passwd"} {
		if line := b.given[name]; line != 0 && strings.HasPrefix(string(c.Application), "http") {
			p.add(line, 0, config.Warning, fault.New(name+" has no effect with service="+string(c.Application), "write both into a URL in request"))
		}
	}
	if f := meaningless(c, s.ID.Protocol); f.What != "" {
		p.add(cmp.Or(b.given["service"], b.virtual.line), 0, config.Warning, f)
	}
}

// meaningless returns a fault for the first missing setting without which a negotiate check tests
// too little (for example, only the login) or never succeeds. If no setting is missing, it returns
// a zero Fault. The fault is only a warning, because existing files can have the fault: ldirectord
// does not report it.
func meaningless(c config.Check, protocol lvs.Protocol) fault.Fault {
	lacksLogin := c.Login == (config.Secret{})
	lacksRequest := strings.Trim(c.Request, "/") == ""
	switch c.Application {
	case config.NoApplication:
	case "dns":
		if lacksRequest {
			return fault.New("service=dns has no name to query, so no real server is ever up", `add request="NAME", and receive="ADDRESS" for the expected address`)
		}
		if c.Receive == "" {
			return fault.New("service=dns without receive: any address is a good reply (for ldirectord, no reply is good)", `add receive="ADDRESS"`)
		}
	case "mysql", "pgsql", "oracle":
		if lacksLogin {
			return fault.New("service="+string(c.Application)+" cannot log in without a user, so no real server is ever up", `give login and passwd`)
		}
		if c.Application == "oracle" && c.Database == "" {
			return fault.New("service=oracle has no database, so no real server is ever up", `add database="SID"`)
		}
		if lacksRequest {
			return fault.New("service="+string(c.Application)+" without request: a login alone is enough (for ldirectord, it is not)", `add request="SELECT 1"`)
		}
	case "radius":
		if lacksLogin || c.Secret == (config.Secret{}) {
			return fault.New("service=radius cannot query without a user and the shared secret, so no real server is ever up", `give login, passwd and secret`)
		}
	case "pop", "pops", "imap", "imaps":
		if lacksLogin {
			return fault.New("service="+string(c.Application)+" without login: a greeting is enough", `give login and passwd`)
		}
	case "ftp":
		if lacksRequest {
			return fault.New("service=ftp without request: a login alone is enough"+anonymous(lacksLogin), `add request="FILE" and receive="TEXT"`)
		}
	case "simpletcp":
		if protocol == lvs.UDP && lacksRequest {
			return fault.New("service=simpletcp over udp has nothing to send, so no real server is ever up", `add request="TEXT"`)
		}
		if c.Receive == "" {
			return fault.New("service=simpletcp without receive: any reply is good", `add receive="TEXT"`)
		}
	case "http_proxy":
		if !strings.HasPrefix(strings.TrimPrefix(c.Request, "/"), "http://") {
			return fault.New("service=http_proxy has no page to request from the proxy, so no real server is ever up", `add request="http://HOST/PATH"`)
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

// neverUp reports whether the check of every real server of a service is unusable.
func neverUp(c config.Check, reals []checkedReal) bool {
	for _, r := range reals {
		if r.request == "" && c.Unusable == "" || r.request != "" && r.unusable == "" {
			return false
		}
	}
	return len(reals) > 0 || c.Unusable != ""
}
