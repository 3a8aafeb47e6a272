// Package vip tests the installed agent vip natively, in separate network namespaces. It runs the
// cases of ClusterLabs for IPaddr2, reads the packets on the wire, and checks the state after a
// kill. It needs root, and the package resource-agents for the cases.
package vip
