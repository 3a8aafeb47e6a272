// Package vip tests the installed agent vip natively, in network namespaces of its
// own: the cases that ClusterLabs has for IPaddr2, what is on the wire, and what
// is right after it was killed. It needs root, and resource-agents for the cases.
package vip
