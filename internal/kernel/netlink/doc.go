// Package netlink is the transport to the kernel's netlink families: sockets, requests, attributes,
// repeated dumps and the translation of error numbers. Most reads use its Socket. Most changes of
// addresses, links and routes use vishvananda/netlink, through Handle. Other libraries send the
// messages of nftables and some messages of IPVS (docs/adr/0067-one-netlink-transport.md).
package netlink
