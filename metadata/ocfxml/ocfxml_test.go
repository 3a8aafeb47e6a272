package ocfxml

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/metadata"
)

func sample() metadata.Agent {
	var ip netip.Addr
	var quiet bool
	var sched, text string
	port := 80
	return metadata.Agent{Name: "sample", Short: "Sample", Long: "One & two <three>.\n\n.Next - paragraph \\ here.", Params: []metadata.Param{
		{Name: "ip", Value: metadata.Address(&ip), Required: true, UniqueGroup: "address", Short: "IP", Long: "The IP."},
		{Name: "port", Value: metadata.Integer(&port, 1, 65535), UniqueGroup: "address", Short: "Port", Long: "The port."},
		{Name: "quiet", Value: metadata.Boolean(&quiet), Reloadable: true, Short: "Quiet", Long: "Quiet."},
		{Name: "sched", Value: metadata.Select(&sched, "rr", "wlc"), Short: "Scheduler", Long: "The scheduler."},
		{Name: "text", Value: metadata.String(&text), Short: "Text", Long: "Some text."},
	}, Actions: []metadata.Action{{Name: "monitor", Timeout: 20 * time.Second, Interval: 10 * time.Second}, {Name: "stop", Timeout: 90 * time.Second}}}
}

func TestXML(t *testing.T) {
	var got bytes.Buffer
	if err := Write(&got, sample()); err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(got.String(), "]>\n")
	const want = `<resource-agent name="sample">
  <version>1.1</version>
  <longdesc lang="en">One &amp; two &lt;three&gt;.

.Next - paragraph \ here.</longdesc>
  <shortdesc lang="en">Sample</shortdesc>
  <parameters>
    <parameter name="ip" unique="1" unique-group="address" required="1">
      <longdesc lang="en">The IP.</longdesc>
      <shortdesc lang="en">IP</shortdesc>
      <content type="string"/>
    </parameter>
    <parameter name="port" unique="1" unique-group="address">
      <longdesc lang="en">The port.</longdesc>
      <shortdesc lang="en">Port</shortdesc>
      <content type="integer" default="80"/>
    </parameter>
    <parameter name="quiet" reloadable="1">
      <longdesc lang="en">Quiet.</longdesc>
      <shortdesc lang="en">Quiet</shortdesc>
      <content type="boolean" default="false"/>
    </parameter>
    <parameter name="sched">
      <longdesc lang="en">The scheduler.</longdesc>
      <shortdesc lang="en">Scheduler</shortdesc>
      <content type="select">
        <option value="rr"/>
        <option value="wlc"/>
      </content>
    </parameter>
    <parameter name="text">
      <longdesc lang="en">Some text.</longdesc>
      <shortdesc lang="en">Text</shortdesc>
      <content type="string"/>
    </parameter>
  </parameters>
  <actions>
    <action name="monitor" depth="0" timeout="20s" interval="10s"/>
    <action name="stop" timeout="90s"/>
  </actions>
</resource-agent>
`
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(got.String(), "<?xml version=\"1.0\"?>\n<!DOCTYPE resource-agent [\n") {
		t.Errorf("start of the document: %.80q", got.String())
	}
}
