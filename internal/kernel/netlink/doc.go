// Package netlink is the one transport to the kernel's netlink families: sockets, requests,
// attributes, repeated dumps, and what error numbers mean. Reads go through its
// Socket. Addresses, links and routes are written with vishvananda/netlink, on its Handle.
package netlink
