// Package ocfxml renders the declaration of an agent as the meta-data document of OCF 1.1. It is
// not a part of package metadata, so that no agent links an XML library: an agent prints the
// document that make docs has rendered.
package ocfxml

import (
	"fmt"
	"io"
	"strconv"

	"github.com/beevik/etree"

	"lvs-agents/metadata"
)

// doctype declares the elements of OCF 1.1 (ra-api-1.rng of the OCF specification). The document
// contains this DTD because ocf-tester validates against a DTD, and the DTD of resource-agents
// knows only OCF 1.0.
const doctype = `DOCTYPE resource-agent [
<!ELEMENT resource-agent (version,longdesc,shortdesc,parameters,actions)>
<!ATTLIST resource-agent name CDATA #REQUIRED version CDATA #IMPLIED>
<!ELEMENT version (#PCDATA)>
<!ELEMENT longdesc (#PCDATA)>
<!ATTLIST longdesc lang NMTOKEN #REQUIRED>
<!ELEMENT shortdesc (#PCDATA)>
<!ATTLIST shortdesc lang NMTOKEN #REQUIRED>
<!ELEMENT parameters (parameter+)>
<!ELEMENT parameter (longdesc,shortdesc,content)>
<!ATTLIST parameter name CDATA #REQUIRED unique (0|1) #IMPLIED unique-group CDATA #IMPLIED required (0|1) #IMPLIED reloadable (0|1) #IMPLIED>
<!ELEMENT content (option*)>
<!ATTLIST content type (string|integer|boolean|select) #REQUIRED default CDATA #IMPLIED>
<!ELEMENT option EMPTY>
<!ATTLIST option value CDATA #REQUIRED>
<!ELEMENT actions (action+)>
<!ELEMENT action EMPTY>
<!ATTLIST action name CDATA #REQUIRED timeout CDATA #REQUIRED interval CDATA #IMPLIED depth CDATA #IMPLIED>
]`

// Write writes the meta-data document of OCF 1.1. It differs from the example in the specification
// in three points:
//
//   - The XML declaration has no encoding, because crmsh refuses it.
//   - It has both unique and unique-group: crmsh and hb_gui read unique, pcs reads unique-group.
//   - It has no private attribute, because pcs refuses it.
func Write(w io.Writer, a metadata.Agent) error {
	doc := etree.NewDocument()
	doc.CreateProcInst("xml", `version="1.0"`)
	doc.CreateDirective(doctype)
	root := doc.CreateElement("resource-agent")
	root.CreateAttr("name", a.Name)
	if a.Version != "" {
		root.CreateAttr("version", a.Version)
	}
	root.CreateElement("version").SetText("1.1")
	describe(root, a.Short, a.Long)
	params := root.CreateElement("parameters")
	for _, p := range a.Params {
		addParam(params, p)
	}
	actions := root.CreateElement("actions")
	for _, action := range a.Actions {
		addAction(actions, action)
	}
	doc.Indent(2)
	if _, err := doc.WriteTo(w); err != nil {
		return fmt.Errorf("writing meta-data: %w", err)
	}
	return nil
}

func describe(parent *etree.Element, short, long string) {
	for _, text := range [][2]string{{"longdesc", long}, {"shortdesc", short}} {
		element := parent.CreateElement(text[0])
		element.CreateAttr("lang", "en")
		element.SetText(text[1])
	}
}

func addParam(parent *etree.Element, p metadata.Param) {
	element := parent.CreateElement("parameter")
	element.CreateAttr("name", p.Name)
	if p.UniqueGroup != "" {
		element.CreateAttr("unique", "1")
		element.CreateAttr("unique-group", p.UniqueGroup)
	}
	flag(element, "required", p.Required)
	flag(element, "reloadable", p.Reloadable)
	describe(element, p.Short, p.Long)
	content := element.CreateElement("content")
	content.CreateAttr("type", p.Value.Type())
	if text := p.Value.String(); text != "" {
		content.CreateAttr("default", text)
	}
	if list, ok := p.Value.(metadata.Enumerated); ok {
		for _, option := range list.Options() {
			content.CreateElement("option").CreateAttr("value", option)
		}
	}
}

func flag(element *etree.Element, name string, set bool) {
	if set {
		element.CreateAttr(name, "1")
	}
}

func addAction(parent *etree.Element, a metadata.Action) {
	element := parent.CreateElement("action")
	element.CreateAttr("name", a.Name)
	if a.Name == "monitor" {
		element.CreateAttr("depth", strconv.Itoa(a.Depth))
	}
	element.CreateAttr("timeout", metadata.Seconds(a.Timeout))
	if a.Interval != 0 {
		element.CreateAttr("interval", metadata.Seconds(a.Interval))
	}
}
