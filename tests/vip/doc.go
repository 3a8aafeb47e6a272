// Package vip tests the built agent vip in separate network namespaces of the test host. It runs
// ClusterLabs' test cases for IPaddr2, reads the packets that vip sends, and checks the state after
// vip was killed. It needs root, and for ClusterLabs' cases the package resource-agents.
package vip
