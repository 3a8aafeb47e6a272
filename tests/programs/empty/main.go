// Empty is a Go program that does nothing: what every Go program costs.
package main

func main() {}
