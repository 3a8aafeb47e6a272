// Package netlink is the only transport to the kernel's netlink families: sockets, requests,
// attributes, repeated dumps and the translation of error numbers. Reads use its Socket. Changes of
// addresses, links and routes use vishvananda/netlink, through Handle.
package netlink
