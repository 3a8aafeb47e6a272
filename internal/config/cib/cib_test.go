package cib

import (
	"os"
	"strings"
	"testing"

	"lvs-agents/internal/config/configtest"
)

func TestParse(t *testing.T) {
	configtest.Golden(t, "testdata/*.xml", Parse, nil)
}

// TestNoSecret tests that the parameters and properties of the sample pair.xml that are secrets are
// in no problem.
func TestNoSecret(t *testing.T) {
	text, err := os.ReadFile("testdata/pair.xml")
	if err != nil {
		t.Fatal(err)
	}
	if !Guess(text) || strings.Count(string(text), "hidden") < 4 {
		t.Error("the sample is not a CIB, or has too few secrets")
	}
	if got := configtest.Describe(Parse("FILE", text)); strings.Contains(got, "hidden") {
		t.Error(got)
	}
}

func TestRefused(t *testing.T) {
	resources := func(xml string) string {
		return "<cib><configuration><resources>" + xml + "</resources></configuration></cib>"
	}
	vip := func(attributes, pairs string) string {
		return resources(`<primitive id="vip" class="ocf" provider="heartbeat" type="IPaddr2"` + attributes + `><instance_attributes id="a">` + pairs + `</instance_attributes></primitive>`)
	}
	const ip = `<nvpair id="b" name="ip" value="192.0.2.10"/>`
	const elsewhere = `FILE: primitive "vip": its parameters depend on a rule, a template or another element; write the parameters into the primitive`
	configtest.Refused(t, Parse, []configtest.Refusal{
		{Text: "", Want: "FILE: the first element is not cib; save the CIB with cibadmin -Q"},
		{Text: "<a></a>", Want: "FILE: the first element is not cib; save the CIB with cibadmin -Q"},
		{Text: "<cib>\n<a></b>", Want: "FILE: the text is not well-formed XML; save the CIB again with cibadmin -Q"},
		{Text: "<cib></cib>", Want: "FILE: no resource of ocf:heartbeat:IPaddr2 or ocf:heartbeat:ldirectord; give the CIB of the directors"},
		{Text: vip("", ""), Want: `FILE: primitive "vip": ip is not an address; write ip=ADDRESS`},
		{Text: vip("", strings.Replace(ip, "192.0.2.10", "0.0.0.0", 1)), Want: `FILE: primitive "vip": ip is not an address; write ip=ADDRESS`},
		{Text: vip("", ip+`<nvpair id="c" name="cidr_netmask" value="99"/>`), Want: `FILE: primitive "vip": cidr_netmask "99" is not a prefix length; write a number`},
		{Text: vip("", `<rule id="r"/>`+ip), Want: elsewhere},
		{Text: vip("", `<nvpair id-ref="b"/>`), Want: elsewhere},
		{Text: resources(`<template id="t" class="ocf" provider="heartbeat" type="IPaddr2"/><primitive id="vip" template="t"/>`), Want: elsewhere},
	})
}

func FuzzParse(f *testing.F) {
	configtest.Fuzz(f, "testdata/*.xml", Parse)
}

func FuzzGuess(f *testing.F) {
	f.Add([]byte("<?xml version='1.0'?><!-- --><cib/>"))
	f.Fuzz(func(_ *testing.T, text []byte) { Guess(text) })
}
