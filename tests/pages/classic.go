package pages

// Classic is the group that readers of the how-tos have before the change, as XML: IPaddr2, and
// ldirectord as a resource. On the nodes of the lab, directord runs under the name ldirectord,
// because the Perl program takes seconds for each action there.
const Classic = `<resources><group id="web">
<meta_attributes id="web-meta"><nvpair id="web-stickiness" name="resource-stickiness" value="200"/></meta_attributes>
<primitive id="web-vip" class="ocf" provider="heartbeat" type="IPaddr2">
<instance_attributes id="web-vip-params"><nvpair id="web-vip-ip" name="ip" value="192.0.2.10"/><nvpair id="web-vip-nic" name="nic" value="eth0"/><nvpair id="web-vip-bits" name="cidr_netmask" value="24"/></instance_attributes>
<operations><op id="web-vip-monitor" name="monitor" interval="2s" timeout="20s"/></operations></primitive>
<primitive id="web-ldirectord" class="ocf" provider="heartbeat" type="ldirectord">
<instance_attributes id="web-ldirectord-params"><nvpair id="web-ldirectord-file" name="configfile" value="/etc/ha.d/ldirectord.cf"/></instance_attributes>
<operations><op id="web-ldirectord-start" name="start" interval="0" timeout="60s"/><op id="web-ldirectord-monitor" name="monitor" interval="20s" timeout="60s"/></operations></primitive>
</group></resources>`
