// Package host holds the nouns of a host on a network: addresses, the settings that
// decide what it says about them, and what a neighbour received from it. Values
// and pure functions only: nothing here talks to a kernel.
package host
