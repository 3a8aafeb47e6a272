package ldirectord

import (
	"cmp"
	"net/url"
	"strconv"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
)

// wholeURL returns the request of a real server as a URL. It returns nil if the request is not a
// whole URL of the application http or https. The error never contains a login.
func wholeURL(application config.Application, request string) (*url.URL, error) {
	scheme, _, whole := strings.Cut(request, "://")
	if !whole || scheme != string(application) || scheme != "http" && scheme != "https" {
		return nil, nil //nolint:nilnil // neither a URL nor an error
	}
	target, err := url.Parse(request)
	if err != nil {
		return nil, fault.Errorf("write special characters of a login as %XX", "request is not a URL")
	}
	if _, err := strconv.ParseUint(cmp.Or(target.Port(), "1"), 10, 16); err != nil {
		return nil, fault.Errorf("", "request: port %s is not a number from 1 to 65535", target.Port())
	}
	return target, nil
}

// withoutLogin moves the login of a URL from the request to Login and Passwd, because messages
// show the request. HTTP checks have no other login, as in ldirectord.
func withoutLogin(c config.Check) config.Check {
	request, own := c.Request, string(c.Application)
	switch own {
	case "http", "https":
	case "http_proxy":
		request, own = strings.TrimPrefix(request, "/"), "http"
	default:
		return c
	}
	c.Login, c.Passwd = config.Secret{}, config.Secret{}
	scheme, rest, _ := strings.Cut(request, "://")
	target, err := url.Parse(request)
	if err != nil || scheme != own || target.User == nil {
		return c
	}
	passwd, _ := target.User.Password()
	c.Login, c.Passwd = config.NewSecret(target.User.Username()), config.NewSecret(passwd)
	authority, _, _ := strings.Cut(rest, "/")
	c.Request = scheme + "://" + rest[strings.LastIndex(authority, "@")+1:]
	return c
}

// elsewhere splits a request that is a whole URL into the host that is checked and the path that
// is requested there.
func elsewhere(c config.Check) config.Check {
	target, err := wholeURL(c.Application, c.Request)
	if err != nil || target == nil {
		return c // The method receive of the parser has reported the error.
	}
	c.Host, c.Port = target.Hostname(), c.Application.Port()
	if given, err := strconv.ParseUint(target.Port(), 10, 16); err == nil {
		c.Port = uint16(given)
	}
	c.VirtualHost = cmp.Or(c.VirtualHost, target.Host)
	c.Request = cmp.Or(target.RequestURI(), "/")
	return c
}
