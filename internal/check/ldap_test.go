package check

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// directory is an LDAP server. bind and search are the result codes of its replies.
type directory struct {
	bind, search uint16
	// requireBind says that the server refuses a search until a bind has succeeded.
	requireBind bool
}

func (d directory) serve(c net.Conn) {
	bound := false
	for {
		request, err := ber.ReadPacket(c)
		if err != nil || len(request.Children) < 2 {
			return
		}
		id, operation := request.Children[0], request.Children[1]
		if operation.Tag == ldap.ApplicationBindRequest {
			bound = d.bind == 0
			d.result(c, id, ldap.ApplicationBindResponse, d.bind)
		}
		if operation.Tag == ldap.ApplicationSearchRequest {
			d.found(c, id, bound || !d.requireBind)
		}
	}
}

func (d directory) found(c net.Conn, id *ber.Packet, allowed bool) {
	if !allowed {
		d.result(c, id, ldap.ApplicationSearchResultDone, ldap.LDAPResultOperationsError)
		return
	}
	if d.search == 0 {
		entry := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
		entry.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "dc=example", ""))
		entry.AppendChild(ber.NewSequence(""))
		d.send(c, id, entry)
	}
	d.result(c, id, ldap.ApplicationSearchResultDone, d.search)
}

func (d directory) result(c net.Conn, id *ber.Packet, kind ber.Tag, code uint16) {
	result := ber.Encode(ber.ClassApplication, ber.TypeConstructed, kind, nil, "")
	result.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(code), ""))
	for range 2 { // Add an empty matched DN and an empty message.
		result.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	}
	d.send(c, id, result)
}

func (d directory) send(c net.Conn, id, operation *ber.Packet) {
	message := ber.NewSequence("")
	message.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id.Value, ""))
	message.AppendChild(operation)
	_, _ = c.Write(message.Bytes()) // a write error is normal: the check can have closed the connection
}

// TestLDAPBindsAnonymously checks that a check without a login binds as an anonymous client, as
// ldirectord does. If the server refuses the bind, the check still searches.
func TestLDAPBindsAnonymously(t *testing.T) {
	tests := []struct {
		name   string
		server directory
		login  string
		want   string
	}{
		{"any", directory{}, "", ""},
		{"a bind is required", directory{requireBind: true}, "", ""},
		{"anonymous binds are refused", directory{bind: ldap.LDAPResultInappropriateAuthentication}, "", ""},
		{"both", directory{bind: ldap.LDAPResultInappropriateAuthentication, requireBind: true}, "", `bind: LDAP Result Code 48 "Inappropriate Authentication":`},
		{"no entry", directory{search: ldap.LDAPResultNoSuchObject}, "", `search: LDAP Result Code 32 "No Such Object":`},
		{"login", directory{requireBind: true}, "cn=me", ""},
		{"login that is refused", directory{bind: ldap.LDAPResultInvalidCredentials}, "cn=me", `bind: LDAP Result Code 49 "Invalid Credentials":`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := server(t, tt.server.serve)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			target := Target{Addr: addr, Request: "/dc=example", Receive: perls(t, "^dc=example$"), Login: tt.login, Passwd: tt.login}
			says(t, negotiation(t, "ldap", target).Check(ctx), fmt.Sprintf("ldap %s: ", addr), tt.want)
		})
	}
}
